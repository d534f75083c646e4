/** Each wire by its name. */
import { type Accounts, tinodeWire } from './tinode-wire.ts'
import { tokenOf } from './tokens.ts'
import { centrifugoWire, type Encoding, jsonWire, msgpackWire, socketioWire, type Wire } from './wire.ts'

/** `+jwt`: the same with a token of each user. */
export type WireName = Encoding | `${Encoding}+jwt` | 'socketio' | 'centrifugo' | 'tinode'

const withToken = (wire: Wire): Wire => ({
  ...wire,
  offer: (userId) => `${wire.offer(userId)}, bearer.${tokenOf(userId)}`,
})

const wires = {
  json: jsonWire,
  msgpack: msgpackWire,
  'json+jwt': withToken(jsonWire),
  'msgpack+jwt': withToken(msgpackWire),
  socketio: socketioWire,
  centrifugo: centrifugoWire,
} as const

const nobody: Accounts = new Map()

/** `accounts`: whom a server knows that calls people by names of its own. */
export function wireOf(name: WireName, accounts = nobody): Wire {
  return name === 'tinode' ? tinodeWire(accounts) : wires[name]
}
