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
  const parts = [Buffer.from(`\0${name}\0`, 'utf8'), int16(0), int16(values.length)]
  for (const value of values) {
    const bytes = Buffer.from(value, 'utf8')
    parts.push(int32(bytes.length), bytes)
  }
  parts.push(int16(0))
  return Buffer.concat([message('B', Buffer.concat(parts)), message('E', Buffer.from('\0\0\0\0\0'))])
}

/** Header of a CopyData message whose body of `bodyBytes` follows in the same write. */
export function copyDataHeader(bodyBytes: number): Buffer {
  const header = Buffer.allocUnsafe(5)
  header.write('d', 0, 'latin1')
  header.writeInt32BE(bodyBytes + 4, 1)
  return header
}

export const copyDone = message('c', Buffer.alloc(0))
/** Asks for everything answered so far, without ending the step: no ReadyForQuery follows. */
export const flush = message('H', Buffer.alloc(0))
/** Ends the step: after an error the server skips everything up to here. ReadyForQuery follows. */
export const sync = message('S', Buffer.alloc(0))

function message(type: string, body: Buffer): Buffer {
  const header = Buffer.allocUnsafe(5)
  header.write(type, 0, 'latin1')
  header.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([header, body])
}

function int16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeInt32BE(value)
  return bytes
}
