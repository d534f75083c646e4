import type { PushOptions } from './accounts-types.ts'
import { ChatError } from './errors.ts'
import type { Rest } from './rest.ts'

const PATH = '/api/push/subscription'

/** Of the platform's `PushSubscription`, what is used. */
export interface Subscription {
  readonly endpoint: string
  readonly options?: { readonly applicationServerKey?: ArrayBuffer | null } | undefined
  toJSON(): object
  unsubscribe(): Promise<boolean>
}
/** Of the platform's `ServiceWorkerRegistration`, what is used. */
export interface PushRegistration {
  readonly pushManager: {
    getSubscription(): Promise<Subscription | null>
    subscribe(options: { userVisibleOnly: boolean; applicationServerKey: string }): Promise<Subscription>
  }
}

/** Notifications of this device. Every call may be repeated; each rejects with `ChatError`: `not_found` while push is off. */
export interface Push {
  /** The server's public key, as base64url. */
  key(): Promise<string>
  /** Subscribes this device, or tells the server again. Rejects as the browser does when the person does not allow it. */
  subscribe(registration: PushRegistration, options?: PushOptions): Promise<void>
  unsubscribe(registration: PushRegistration): Promise<void>
  /** One notification to this device's user, at most one in ten seconds. */
  test(): Promise<void>
}

export function pushOver(rest: Rest): Push {
  const key = async (): Promise<string> => (await rest.call<{ public_key: string }>('GET', '/api/push/key')).public_key
  return {
    key,
    async subscribe({ pushManager }, options = {}) {
      const applicationServerKey = await key()
      let subscription = await pushManager.getSubscription()
      // A subscription is for one key; with another one the push service would refuse what the server sends.
      if (subscription && keyOf(subscription) !== applicationServerKey) {
        await subscription.unsubscribe()
        subscription = null
      }
      subscription ??= await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey })
      const { endpoint, keys, expirationTime } = subscription.toJSON() as Record<string, unknown>
      const told = { endpoint, keys, ...(expirationTime != null && { expirationTime }) }
      await rest.call('PUT', PATH, { body: { subscription: told, ...options } })
    },
    async unsubscribe({ pushManager }) {
      const subscription = await pushManager.getSubscription()
      if (!subscription) return
      const { endpoint } = subscription
      // First here: what the server cannot be told now, the push service tells it when it next sends.
      await subscription.unsubscribe()
      await rest.call('DELETE', PATH, { body: { endpoint } }).catch((error: unknown) => {
        if (!(error instanceof ChatError) || (error.code !== 'not_found' && error.code !== 'unauthorized')) throw error
      })
    },
    test: () => rest.call('POST', '/api/push/test', { body: {} }),
  }
}

/** Where the browser does not tell, it is taken for another one. */
function keyOf({ options }: Subscription): string {
  const bytes = new Uint8Array(options?.applicationServerKey ?? new ArrayBuffer(0))
  return btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=+$/, '')
}
