import type { ErrorCode } from '../protocol/codes.ts'

export interface RefusalDetail {
  readonly message?: string
  readonly field?: string
  readonly retryAfterMs?: number
}

/** Why somebody does not get what they asked of the accounts: one of the protocol's errors. */
export class AccountRefusal extends Error {
  readonly code: ErrorCode
  readonly detail: RefusalDetail

  constructor(code: ErrorCode, detail: RefusalDetail = {}) {
    super(detail.message ?? code)
    this.name = 'AccountRefusal'
    this.code = code
    this.detail = detail
  }
}
