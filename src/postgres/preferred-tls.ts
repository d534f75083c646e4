import type { ConnectionOptions } from 'node:tls'

/**
 * Whether a server is spoken to with TLS, unverified, where the DSN leaves that open. Behind a name another server may come to
 * stand, as after a failover; so what one was found to offer is asked again once a connection has failed.
 */
export class PreferredTls {
  readonly #ask: () => Promise<boolean>
  #offersTls: boolean
  #asking: Promise<void> | undefined

  /** `ask`: rejects where the server does not answer. */
  constructor(offersTls: boolean, ask: () => Promise<boolean>) {
    this.#offersTls = offersTls
    this.#ask = ask
  }

  get ssl(): ConnectionOptions | false {
    return this.#offersTls ? { rejectUnauthorized: false } : false
  }

  /** Once however many connections have failed. Who is not there is taken for the server of before. Never rejects. */
  askAgain(): Promise<void> {
    this.#asking ??= this.#ask()
      .then(
        (offersTls) => {
          this.#offersTls = offersTls
        },
        () => undefined,
      )
      .finally(() => {
        this.#asking = undefined
      })
    return this.#asking
  }
}
