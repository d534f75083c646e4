import type { UserId } from '../protocol/message.ts'
import type { Picture } from './picture.ts'

export interface StoredAvatar {
  readonly mediaType: string
  readonly bytes: Buffer
}

/** Pictures of people that were uploaded. All reject when the database refuses or is away. */
export interface Avatars {
  /** Takes the place of the picture before, under a new id. */
  set(userId: UserId, picture: Picture, bytes: Buffer): Promise<void>
  /** The person has no picture any more, uploaded or elsewhere. */
  remove(userId: UserId): Promise<void>
  find(avatarId: string): Promise<StoredAvatar | undefined>
}
