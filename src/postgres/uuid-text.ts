/**
 * A text as UUID, null where it is none in the form in which PostgreSQL writes them: so that a name that anybody may have chosen
 * is looked up by the index of a column of UUIDs, which a cast of that column would pass by. `text`: an expression of SQL.
 */
export function asUuid(text: string): string {
  return `case when ${text} ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (${text})::uuid end`
}
