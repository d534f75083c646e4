import { type CommandServices, commandRunner } from './command-table.ts'
import type { ConnectionServices } from './connection.ts'
import { ConnectionLimit } from './connection-limit.ts'
import { Outbound, type OutboundServices } from './outbound.ts'

export type GatewayOptions = CommandServices &
  OutboundServices &
  Omit<ConnectionServices, 'run' | 'makeOutbound' | 'connectionLimit'> & {
    readonly limits: { readonly maxConnectionsPerUser: number }
  }

/** What all connections of an instance share: what commands need, what is told unasked needs, and they themselves. */
export function connectionServices(options: GatewayOptions): ConnectionServices {
  const { maxConnectionsPerUser } = options.limits
  return {
    ...options,
    run: commandRunner(options),
    makeOutbound: (caller, socket) => new Outbound(caller, socket, options),
    connectionLimit: new ConnectionLimit({ ...options, maxConnectionsPerUser }),
  }
}
