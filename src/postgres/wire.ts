/**
 * Frontend messages of PostgreSQL's protocol 3.0, as needed to send several steps in one write.
 * Source: PostgreSQL documentation, "Message Formats".
 */

/** Parse: prepares `text` under `name` for the life of the session; parameter types are inferred. */
export function parseMessage(name: string, text: string): Buffer {
  return message('P', Buffer.from(`${name}\0${text}\0\0\0`, 'utf8'))
}

/** Bind (text parameters, text results, unnamed portal) and Execute (all rows) of a prepared statement. */
export function bindAndExecute(name: string, values: readonly string[] = []): Buffer {
  // Portal, statement, three counts; each value after its size.
  let bodyBytes = 1 + Buffer.byteLength(name) + 1 + 6
  for (const value of values) bodyBytes += 4 + Buffer.byteLength(value)
  const out = Buffer.allocUnsafe(5 + bodyBytes + EXECUTE.length)
  let at = out.write('B', 0, 'latin1')
  at = out.writeInt32BE(bodyBytes + 4, at)
  at = out.writeUInt8(0, at)
  at += out.write(name, at)
  at = out.writeUInt8(0, at)
  at = out.writeInt16BE(0, at)
  at = out.writeInt16BE(values.length, at)
  for (const value of values) {
    const bytes = out.write(value, at + 4)
    out.writeInt32BE(bytes, at)
    at += 4 + bytes
  }
  at = out.writeInt16BE(0, at)
  EXECUTE.copy(out, at)
  return out
}

/** Header of a CopyData message whose body of `bodyBytes` follows in the same write. */
export function copyDataHeader(bodyBytes: number): Buffer {
  const header = Buffer.allocUnsafe(5)
  header.write('d', 0, 'latin1')
  header.writeInt32BE(bodyBytes + 4, 1)
  return header
}

export const copyDone = message('c', Buffer.alloc(0))
/** Ends COPY with an error, so that its transaction can only be rolled back. */
export const copyFail = message('f', Buffer.from('given up\0', 'latin1'))
/** Ends the step: after an error the server skips everything up to here. ReadyForQuery follows. */
export const sync = message('S', Buffer.alloc(0))

/** Execute of the unnamed portal, all rows. */
const EXECUTE = message('E', Buffer.alloc(5))

function message(type: string, body: Buffer): Buffer {
  const header = Buffer.allocUnsafe(5)
  header.write(type, 0, 'latin1')
  header.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([header, body])
}
