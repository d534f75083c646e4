/** Makes the people of a load known to Tinode. */
import type { Socket } from 'node:net'
import { FrameScanner, maskedFrame, textOpcode } from './frames.ts'
import { openWebSocket } from './socket.ts'
import { type Account, type Accounts, tinodeHello, tinodeTarget } from './tinode-wire.ts'

/** Its passwords are hashed slowly on purpose, so more at once than there are cores gain nothing. */
const atOnce = 4

interface Answer {
  readonly id?: string
  readonly code: number
  readonly text: string
  readonly params?: { readonly user?: string; readonly token?: string }
}

/** An account with a password for each of them; the token of each spares the load the password. */
export async function makeAccounts(port: number, userIds: readonly string[]): Promise<Accounts> {
  const accounts = new Map<string, Account>()
  const waiting = userIds.values()
  const work = async (): Promise<void> => {
    for (const userId of waiting) accounts.set(userId, await makeAccount(port, userId))
  }
  await Promise.all(Array.from({ length: atOnce }, work))
  return accounts
}

async function makeAccount(port: number, userId: string): Promise<Account> {
  const session = new Session(port)
  try {
    await session.ask('hi', tinodeHello)
    // A login of 32 letters at most.
    const secret = Buffer.from(`${userId.slice(-16)}:a-password`).toString('base64')
    const { params } = await session.ask('acc', { user: 'new', scheme: 'basic', secret, login: true })
    if (params?.user === undefined || params.token === undefined) throw new Error(`no account for ${userId}`)
    return { id: params.user, token: params.token }
  } finally {
    session.close()
  }
}

/** One connection that asks one thing after the other. */
class Session {
  readonly #socket: Socket
  readonly #opened: Promise<void>
  #take: (answer: Answer) => void = () => undefined
  #fail: (error: Error) => void = () => undefined
  #asked = 0

  constructor(port: number) {
    const scanner = new FrameScanner((opcode, bytes, start, end) => {
      if (opcode !== textOpcode) return
      const { ctrl }: { ctrl?: Answer } = JSON.parse(bytes.toString('utf8', start, end))
      if (ctrl?.id === String(this.#asked)) this.#take(ctrl)
    })
    const endpoint = { host: '127.0.0.1', port, target: tinodeTarget, subprotocol: '' }
    let open: () => void = () => undefined
    this.#opened = new Promise((resolve, reject) => {
      open = resolve
      this.#fail = reject
    })
    const onBytes = (chunk: Buffer): void => {
      open()
      scanner.push(chunk)
    }
    this.#socket = openWebSocket(endpoint, onBytes, (reason) => this.#fail(new Error(reason)))
  }

  /** Resolves with the answer, and rejects when that is a refusal. */
  async ask(command: string, fields: object): Promise<Answer> {
    await this.#opened
    const id = String(++this.#asked)
    const answer = await new Promise<Answer>((resolve, reject) => {
      this.#take = resolve
      this.#fail = reject
      this.#socket.write(maskedFrame(textOpcode, Buffer.from(JSON.stringify({ [command]: { id, ...fields } }))))
    })
    if (answer.code >= 300) throw new Error(`Tinode refused '${command}': ${answer.code} ${answer.text}`)
    return answer
  }

  close(): void {
    this.#fail = () => undefined
    this.#socket.destroy()
  }
}
