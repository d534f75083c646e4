/** The four calls the code logs with: fields first, then one fixed sentence, as pino takes them. */
export interface Logger {
  debug(fields: object, msg: string): void
  info(fields: object, msg: string): void
  warn(fields: object, msg: string): void
  error(fields: object, msg: string): void
}
