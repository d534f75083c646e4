/**
 * SQL over `revocations` that the store of this room and the statements of accounts share. `iat` has whole seconds, so a login
 * behind a revocation is dated in the second after it, which may be ahead of the clock by less than a second; the revocation that
 * follows has to reach as far, and no further, however many there are in a row. `userId` is a parameter or a column.
 */

/** `not_before` of the next revocation of a user: no token of theirs that was issued before is later. */
export const nextNotBefore = (userId: string): string => `greatest(clock_timestamp(),
  (select least(max(not_before), clock_timestamp()) + interval '1 second' from revocations r where r.user_id = ${userId} having count(*) > 0))`

/** One row, `up_to`: the last second of which tokens of a user are refused, which may be ahead of the clock. */
export const revokedUpTo = (userId: string): string =>
  `(select coalesce(max(floor(extract(epoch from not_before))), 0) as up_to from revocations r where r.user_id = ${userId})`

/**
 * The second from which tokens of a user are not refused by a revocation of theirs: a login after "everything up to now" is
 * good at once, also within the same second. After two of them within one second it waits, for a second at most, until the clock has
 * come to the later one, so that no token is dated further ahead. As text: the driver makes no number of a `numeric`.
 */
export const issuedAt = (
  userId: string,
): string => `(select greatest(floor(extract(epoch from clock_timestamp())), up_to + 1)::text
  from ${revokedUpTo(userId)} revoked
  where pg_sleep(least(1, greatest(0, up_to - extract(epoch from clock_timestamp())))::float8) is not null) as issued_at`
