import pg from 'pg'

const parseInt8 = (text: string): number => {
  const value = Number(text)
  if (Number.isSafeInteger(value)) return value
  throw new RangeError(`bigint ${text} does not fit a number exactly`)
}

const asText = (text: string): string => text

const PARSERS: ReadonlyMap<number, (text: string) => unknown> = new Map<number, (text: string) => unknown>([
  [pg.types.builtins.INT8, parseInt8],
  // Without a time zone they are no point in time; pg would read them in the zone of this process.
  [pg.types.builtins.DATE, asText],
  [pg.types.builtins.TIMESTAMP, asText],
])

/**
 * How values come back from PostgreSQL, for every connection of the service (pg's global parsers stay untouched):
 * int8 and count(*) as number, refused above 2^53 - 1; date and timestamp as text; timestamptz as Date, cut to ms.
 */
export const resultTypes: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    (format === 'binary' ? undefined : PARSERS.get(oid)) ?? pg.types.getTypeParser(oid, format ?? 'text'),
}
