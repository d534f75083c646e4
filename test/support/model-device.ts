import { expect } from 'vitest'
import { type Applied, emptyInbox, headOf, type Inbox, pageReceived, received } from '../../src/client/inbox.ts'
import type { Connection } from '../../src/gateway/connection.ts'
import type { Command } from '../../src/protocol/commands.ts'
import type { HistoryReply, ServerEvent } from '../../src/protocol/events.ts'
import type { PlayedSocket } from './played-socket.ts'

const bytes = new TextEncoder()
const PAGE = 5

interface Entry {
  readonly seq: number
  readonly id: string
}

interface Screen {
  /** Message ids; the index is seq - 1. */
  readonly shown: string[]
  /** The rule is the SDK's: apply last + 1, drop what is known, hold what came too early. */
  inbox: Inbox<Entry>
  asked: boolean
  peer: { delivered: number; read: number }
}

/** What a device knows of the world it lives in. */
export interface Surroundings {
  readonly model: {
    sent(sender: string, receiver: string, id: string): void
    moved(user: string, other: string, delivered: number, read: number): void
  }
  readonly activity: { later(task: () => void): () => void }
  open(device: ModelDevice): { readonly connection: Connection; readonly socket: PlayedSocket }
}

/** A client that applies by the SDK's rule, and asks at once where the SDK waits half a second. */
export class ModelDevice {
  readonly user: string
  readonly implicit: boolean
  readonly name: string
  readonly #world: Surroundings
  readonly #screens = new Map<string, Screen>()
  readonly #outbox = new Map<string, { receiver_id: string; content: string }>()
  readonly refused: string[] = []
  readonly closeCodes: number[] = []
  #connection: Connection | undefined
  #socket: PlayedSocket | undefined
  isSynced = false

  constructor(world: Surroundings, user: string, implicit: boolean) {
    this.#world = world
    this.user = user
    this.implicit = implicit
    this.name = `${user}${implicit ? ' (implicit)' : ''}`
  }

  get socket(): PlayedSocket | undefined {
    return this.#socket
  }

  screen(other: string): Screen {
    const known = this.#screens.get(other)
    if (known) return known
    const screen: Screen = { shown: [], inbox: emptyInbox([[0, 0]]), asked: false, peer: { delivered: 0, read: 0 } }
    this.#screens.set(other, screen)
    return screen
  }

  connect(): void {
    if (this.#socket) return
    const { connection, socket } = this.#world.open(this)
    this.#connection = connection
    this.#socket = socket
    this.isSynced = false
    for (const screen of this.#screens.values()) screen.asked = false
    connection.opened(socket)
    // What was not answered is sent again, under the same ids.
    for (const [id, message] of this.#outbox) this.#command({ type: 'send', id, ...message })
  }

  disconnect(): void {
    this.#socket?.end(1006)
  }

  closed(socket: PlayedSocket, code: number): void {
    if (socket !== this.#socket) return
    this.closeCodes.push(code)
    this.#socket = undefined
    this.#connection = undefined
    this.isSynced = false
  }

  send(other: string, content: string): void {
    const id = crypto.randomUUID()
    if (!this.#connection) return
    this.#outbox.set(id, { receiver_id: other, content })
    this.#command({ type: 'send', id, receiver_id: other, content })
  }

  move(type: 'ack' | 'read', other: string, part: number): void {
    const seq = Math.ceil(this.screen(other).shown.length * part)
    if (!this.#connection || seq === 0) return
    this.#world.model.moved(this.user, other, seq, type === 'read' ? seq : 0)
    this.#command({ type, with: other, seq })
  }

  received(event: ServerEvent): void {
    if (event.type === 'synced') {
      this.isSynced = true
      this.#later({ type: 'sync' })
    }
    if (event.type === 'message') {
      const other = event.sender_id === this.user ? event.receiver_id : event.sender_id
      if (this.implicit) this.#world.model.moved(this.user, other, event.seq, 0)
      this.#apply(other, event.seq, event.id)
    }
    if (event.type === 'sent') {
      this.#outbox.delete(event.id)
      this.#apply(event.with, event.seq, event.id)
    }
    if (event.type === 'history') {
      this.screen(event.with).asked = false
      this.#paged(event)
    }
    if (event.type === 'sync') for (const change of event.changed) this.#changed(change.with, change)
    if (event.type === 'receipt' && event.user_id === undefined) {
      this.#peerMoved(event.with, event.delivered_seq, event.read_seq)
    }
    if (event.type === 'error') this.#failed(event.code, event.id)
  }

  #changed(other: string, at: { last_seq: number; peer_delivered_seq: number; peer_read_seq: number }): void {
    this.#peerMoved(other, at.peer_delivered_seq, at.peer_read_seq)
    if (at.last_seq > this.screen(other).shown.length) this.#askAfter(other)
  }

  #peerMoved(other: string, delivered: number, read: number): void {
    const { peer } = this.screen(other)
    // Receipts are cumulative: going back would make a message "unread" again.
    peer.delivered = Math.max(peer.delivered, delivered)
    peer.read = Math.max(peer.read, read)
  }

  #apply(other: string, seq: number, id: string): void {
    const screen = this.screen(other)
    const { shown } = screen
    if (seq <= shown.length) expect(shown[seq - 1], `${this.name} sees another message under the same seq`).toBe(id)
    this.#show(other, received(screen.inbox, { seq, id }))
  }

  #paged({ with: other, messages, has_more }: HistoryReply): void {
    const { inbox } = this.screen(other)
    // The page answers for what follows what was shown when it was asked for; that may be less than now.
    const after = (messages[0]?.seq ?? headOf(inbox) + 1) - 1
    this.#show(other, pageReceived(inbox, { after, limit: PAGE }, { messages, hasMore: has_more }))
    if (has_more) this.#askAfter(other)
  }

  #show(other: string, { inbox, applied }: Applied<Entry>): void {
    const screen = this.screen(other)
    screen.inbox = inbox
    for (const { seq, id } of applied) {
      expect(seq, `${this.name} shows beyond a hole`).toBe(screen.shown.length + 1)
      screen.shown.push(id)
    }
    if (inbox.held.length > 0) this.#askAfter(other)
  }

  #askAfter(other: string): void {
    const screen = this.screen(other)
    if (screen.asked) return
    screen.asked = true
    this.#later({ type: 'history', with: other, after: screen.shown.length, limit: PAGE, ref: other })
  }

  #failed(code: string, id: string | undefined): void {
    if (id !== undefined) {
      this.#outbox.delete(id)
      this.refused.push(id)
    } else if (code === 'unavailable') {
      // A read failed as told: ask everything again.
      for (const screen of this.#screens.values()) screen.asked = false
      this.#later({ type: 'sync' })
    } else expect.fail(`${this.name} was told ${code}`)
  }

  /** Across a network: in a later turn, and only if the connection is still the same. */
  #later(command: Command): void {
    const connection = this.#connection
    this.#world.activity.later(() => {
      if (connection === this.#connection) this.#command(command)
    })
  }

  #command(command: Command): void {
    if (!this.#connection) return
    if (command.type === 'send' && command.id) this.#world.model.sent(this.user, command.receiver_id, command.id)
    this.#connection.received(bytes.encode(JSON.stringify(command)), false)
  }
}
