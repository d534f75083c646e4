/** Sizes and counts that both ends rely on. Byte counts are UTF-8. */

/** Largest WebSocket frame a client may send; beyond it the connection closes with 1009. */
export const MAX_FRAME_BYTES = 64 * 1024
/** Largest REST body; beyond it 413. */
export const MAX_BODY_BYTES = 64 * 1024
/** Sends of one connection that may wait for their commit; beyond it `too_many_in_flight`. */
export const MAX_SENDS_IN_FLIGHT = 256
/** Commands of one connection that may wait for what they look up; beyond it `too_many_in_flight`. */
export const MAX_READS_WAITING = 256
export const DEFAULT_HISTORY_LIMIT = 50
export const MAX_HISTORY_LIMIT = 500
export const DEFAULT_LIST_LIMIT = 100
export const MAX_LIST_LIMIT = 1000
export const MAX_WATCHED_PER_COMMAND = 500
/** Users that one connection may watch at a time. */
export const MAX_WATCHED = 10_000
export const MAX_SYNC_HEADS = 1000
/** Unread messages are counted up to here, shown as "99+". */
export const MAX_UNREAD_COUNT = 100
/** How far back from the head unread messages are looked for, so that a long monologue costs no more than a short one. */
export const UNREAD_WINDOW = 1_000

export const USER_ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$/
