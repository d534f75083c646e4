// Jobs of push as a test names them.
import { createECDH, randomBytes } from 'node:crypto'
import type { HeldJob, Target } from '../../src/push/job.ts'
import type { PushKeys } from '../../src/push/keys.ts'
import type { BrowserSubscription } from '../../src/push/subscription.ts'
import { vapidKeyOf } from '../../src/push/vapid.ts'

export const PUSH_KEYS: PushKeys = {
  vapid: vapidKeyOf('kid', Buffer.alloc(32, 1)),
  retired: [],
  tagSecret: Buffer.alloc(32, 2),
}

export function target(id: string, more: Partial<Target> = {}): Target {
  const host = 'fcm.googleapis.com'
  return {
    ...{
      id,
      userId: 'bob',
      host,
      endpoint: `https://${host}/${id}`,
      p256dh: '',
      auth: '',
      vapidKid: 'kid',
      content: 'full',
    },
    ...{ locale: undefined, closedSeconds: 0, spentSeconds: 0, clearsLeft: 10 },
    ...more,
  }
}

/** What a browser would make, of which nobody has the private key. */
export function browserSubscription(
  endpoint = `https://fcm.googleapis.com/${crypto.randomUUID()}`,
  expiresAtMs?: number,
): BrowserSubscription {
  const curve = createECDH('prime256v1')
  curve.generateKeys()
  const keys = { p256dh: curve.getPublicKey('base64url'), auth: randomBytes(16).toString('base64url') }
  return { endpoint, ...keys, expiresAtMs }
}

/** Something that Ann wrote, and one browser that is to be told. */
export function heldJob(more: Partial<HeldJob> = {}): HeldJob {
  return {
    ...{ userId: 'bob', conversationId: 1, leaseOwner: crypto.randomUUID(), kind: 'notify', isNeeded: true },
    ...{ isUnread: true, wasPushed: false, attempts: 0, ageSeconds: 1, targets: [target('a')], sentTo: [] },
    unread: { peer: 'ann', peerName: 'ann', count: 1, text: 'hello', seq: 7, badge: 1 },
    ...{ wantedSeq: 7, toldSeq: 7 },
    ...more,
  }
}
