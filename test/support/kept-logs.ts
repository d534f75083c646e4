import type { Logger } from '../../src/lib/logger.ts'

/** Lines as `level: sentence (reason)`. */
export interface KeptLogs extends Logger {
  readonly lines: string[]
  /** Only those that an operator sees at the default level. */
  readonly shown: string[]
}

export function keepLogs(): KeptLogs {
  const lines: string[] = []
  const keep = (level: string) => (fields: object, msg: string) => {
    const reason = 'reason' in fields ? ` (${fields.reason})` : ''
    lines.push(`${level}: ${msg}${reason}`)
  }
  return {
    debug: keep('debug'),
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
    lines,
    get shown() {
      return lines.filter((line) => !line.startsWith('debug'))
    },
  }
}
