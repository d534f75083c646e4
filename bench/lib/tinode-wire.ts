/** Tinode's JSON protocol, as a load generator sees it. Source: tinode/chat, docs/API.md and server/datamodel.go. */
import { createHmac } from 'node:crypto'
import { firstRef, jsonText, jsonWire, type Wire } from './wire.ts'

/** Somebody whom Tinode knows. */
export interface Account {
  /** What it calls this person, `usr…`. */
  readonly id: string
  /** With which this person logs in, in Base64. */
  readonly token: string
}

/** By the ids of our own people. */
export type Accounts = ReadonlyMap<string, Account>

/** Signs the key with which every client comes: it says of what kind the client is, not who. In Base64. */
export const keySalt = Buffer.alloc(32, 'bench').toString('base64')
const keyHead = Buffer.from([1, 0, 0, 0, 0, 1, 0, 0]) // version, application, sequence; not root

function apiKey(): string {
  const signature = createHmac('md5', Buffer.from(keySalt, 'base64')).update(keyHead).digest()
  return Buffer.concat([keyHead, signature]).toString('base64url')
}

export const tinodeTarget = `/v0/channels?apikey=${apiKey()}`
export const tinodeHello = { ver: '0.25', ua: '' } as const

/** Behind `{"ctrl":{"id":"`; whatever else may come first has no number there. */
const refAt = 15
const codeBegin = Buffer.from('"code":')
const [letterC, letterD, digit2] = [0x63, 0x64, 0x32]

/**
 * A p2p topic for each conversation, to which both people attach: one makes it, the other joins when all are made, since Tinode
 * turns away whoever joins a topic that is being made. `noecho`: the sender learns the number by the answer, not by a push. Topics
 * run side by side, so that answers come in order in each of them alone. The content begins with the sender's id, and so is
 * as long as with the other servers.
 */
export function tinodeWire(accounts: Accounts): Wire {
  const idOf = (userId: string): string => accounts.get(userId)?.id ?? ''
  const wire: Wire = {
    ...jsonWire,
    target: () => tinodeTarget,
    offer: () => '',
    repliesInOrder: false,
    greetings(userId, peerIds) {
      const secret = accounts.get(userId)?.token
      const isTheirs = (peerId: string): boolean => peerId < userId
      const attach = (ids: readonly string[], id: string): Buffer[] =>
        ids.map((peerId, index) => jsonText({ sub: { id: id + index, topic: idOf(peerId) } }))
      const login = [
        jsonText({ hi: { id: '1', ...tinodeHello } }),
        jsonText({ login: { id: '2', scheme: 'token', secret } }),
      ]
      const begun = peerIds.filter((peerId) => !isTheirs(peerId))
      return [[...login, ...attach(begun, '3')], attach(peerIds.filter(isTheirs), '4')]
    },
    encodeSend({ senderId, receiverId, content }) {
      const text = senderId + content.slice(senderId.length)
      return jsonText({ pub: { id: String(firstRef), topic: idOf(receiverId), noecho: true, content: text } })
    },
    kindOf(bytes, start) {
      if (bytes[start + 2] === letterD) return 'message' // {"data":
      if (bytes[start + 2] !== letterC) return 'other' // presence, and what others have read
      const ref = wire.readNumber(bytes, start + refAt)
      const isDone = bytes[bytes.indexOf(codeBegin, start) + codeBegin.length] === digit2
      if (ref < 0 || !isDone) return 'error'
      return ref < firstRef ? 'greeted' : 'sent'
    },
    fieldPrefix: (name) => Buffer.from(prefixes[name] ?? `"${name}":`),
  }
  return wire
}

const prefixes: Readonly<Record<string, string>> = { ref: '"id":"', sender_id: '"content":' }
