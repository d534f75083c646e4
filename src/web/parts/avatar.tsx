import type { CSSProperties } from 'react'
import type { UserId } from '../../protocol/message.ts'

interface AvatarProps {
  readonly id: UserId
  readonly name: string
  readonly picture?: string | undefined
  readonly isOnline?: boolean
  readonly isSmall?: boolean
}

/** A picture that this server keeps, else the initials on a colour of the person's own. Pictures of other hosts are not fetched. */
export function Avatar({ id, name, picture, isOnline = false, isSmall = false }: AvatarProps) {
  const style = { '--h': hueOf(id) } as CSSProperties
  const classes = ['avatar', isOnline && 'on', isSmall && 'small'].filter(Boolean).join(' ')
  return (
    <span className={classes} style={style} aria-hidden="true">
      {picture?.startsWith('/api/avatars/') ? <img src={picture} alt="" loading="lazy" /> : initialsOf(name)}
    </span>
  )
}

function hueOf(id: UserId): number {
  let hash = 0
  for (const unit of id) hash = (hash * 31 + (unit.codePointAt(0) ?? 0)) >>> 0
  return hash % 360
}

/** The first letters of the first two words; of an id such as `ann.example`, of its parts. */
export function initialsOf(name: string): string {
  const words = name.split(/[\s._@+-]+/).filter((word) => word !== '')
  return words
    .slice(0, 2)
    .map((word) => firstLetter(word))
    .join('')
}

const letters = new Intl.Segmenter(undefined, { granularity: 'grapheme' })

function firstLetter(word: string): string {
  for (const { segment } of letters.segment(word)) return segment.toLocaleUpperCase()
  return ''
}
