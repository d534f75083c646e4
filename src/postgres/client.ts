import pg from 'pg'
import type { PreferredTls } from './preferred-tls.ts'

/** `preferredTls`: the DSN leaves it to the server whether there is TLS. */
export type ClientConfig = pg.ClientConfig & { readonly preferredTls?: PreferredTls }

/** A client that goes by what the server was last found to offer, and has it asked again when it cannot connect. */
export class Client extends pg.Client {
  constructor(config: ClientConfig = {}) {
    const { preferredTls, password } = config
    // A pool hides the password from whoever copies its options.
    super(preferredTls ? { ...config, ...(password !== undefined && { password }), ssl: preferredTls.ssl } : config)
    if (!preferredTls) return
    const connection = this.connection as unknown as NodeJS.EventEmitter
    const failed = (): void => void preferredTls.askAgain()
    // What the connection or the server says before it may be used: there is no TLS, or nothing without it.
    connection.on('error', failed)
    connection.on('errorMessage', failed)
    connection.once('readyForQuery', () => {
      connection.off('error', failed)
      connection.off('errorMessage', failed)
    })
  }
}
