import { prettyFactory } from 'pino-pretty'

export interface ConsoleOptions {
  readonly hasColors: boolean
  /** Also where in the code an error arose. */
  readonly showsStacks: boolean
}

/** Fields that a person does not need beside the sentence, or that stand elsewhere in the line. */
const NOT_LISTED = new Set(['level', 'time', 'msg', 'err', 'stack', 'worker', 'instance'])
const IN_URL = new Set(['host', 'port', 'tls'])

/** Turns a line of JSON into one for people: time, level, a sentence, and what else is known as name=value. */
export function consoleLines({ hasColors, showsStacks }: ConsoleOptions): (line: string) => string {
  return prettyFactory({
    colorize: hasColors,
    translateTime: 'SYS:HH:MM:ss.l',
    hideObject: true,
    // It would stand in brackets before the sentence.
    ignore: 'name',
    errorLikeObjectKeys: [],
    messageFormat: (line, messageKey) => {
      const { worker, err, stack } = line
      const place = worker === undefined ? '' : `[worker ${worker}] `
      const trace = stack ?? (showsStacks && isObject(err) ? err.stack : undefined)
      return [
        `${place}${line[messageKey]}${because(err)}${listed(line)}`,
        ...(typeof trace === 'string' ? trace.split('\n').slice(1) : []),
      ]
        .map(withoutControls)
        .join('\n')
    },
  })
}

/** What an error says and what caused it. */
function because(error: unknown): string {
  if (error === undefined) return ''
  if (!isObject(error)) return `: ${error}`
  const { message, cause } = error
  const reason = isObject(cause) ? cause.message : undefined
  const isNews = typeof reason === 'string' && reason !== '' && !String(message).includes(reason)
  return isNews ? `: ${message} (${reason})` : `: ${message}`
}

function listed(line: Readonly<Record<string, unknown>>): string {
  const isInUrl = (name: string): boolean => 'url' in line && IN_URL.has(name)
  return Object.entries(line)
    .filter(([name]) => !NOT_LISTED.has(name) && !isInUrl(name))
    .map(
      ([name, value]) =>
        ` ${name}=${typeof value === 'string' && /^[^\s"]+$/.test(value) ? value : JSON.stringify(value)}`,
    )
    .join('')
}

/** What somebody sends us must not steer a terminal. */
function withoutControls(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) => `\\x${control.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
