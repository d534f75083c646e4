import { type MouseEvent, useState } from 'react'
import { t } from '../texts/index.ts'
import { piecesOf } from './links.ts'

const LONG_TEXT = 1500
const MANY_LINES = 25
/** Letters of some languages have up to four marks; more of them on one are there to run over the lines around. */
const PILED_MARKS = /(\p{M}{5})\p{M}+/gu
/**
 * One of https://www.unicode.org/reports/tr51/#EBNF_and_Regex that is drawn in colours by itself. Not `\p{RGI_Emoji}`, which lists them
 * all: to make a pattern of it takes a browser 100 ms of a fast machine, at the first text that is not in Latin letters.
 */
const EMOJI = [
  String.raw`(?:\p{RI}{2}|[#*\d]\ufe0f?\u20e3|(?:\p{EBase}\p{EMod}|\p{EPres}|\p{ExtPict}\ufe0f)`,
  String.raw`(?:[\u{e0020}-\u{e007e}]+\u{e007f})?(?:\u200d\p{ExtPict}(?:\p{EMod}|\ufe0f)?)*)`,
].join('')
const FEW_EMOJI = new RegExp(`^${EMOJI}{1,3}$`, 'u')

/** Messages that somebody has unfolded; rows come and go with scrolling. */
const unfolded = new Set<string>()

/** What was written, as text, never as markup; links can be opened. */
export function Text({ id, content }: { id: string; content: string }) {
  const [isWhole, setWhole] = useState(unfolded.has(id))
  const shown = isWhole ? content : folded(content)
  const isCut = /^\S/.test(content.slice(shown.length))
  const unfold = ({ currentTarget }: MouseEvent<HTMLElement>): void => {
    // The button goes; who pressed it reads on from the message.
    currentTarget.closest<HTMLElement>('[data-message]')?.focus({ preventScroll: true })
    unfolded.add(id)
    setWhole(true)
  }
  return (
    <>
      {piecesOf(shown.replace(PILED_MARKS, '$1'), isCut).map(({ text, url }, index) =>
        url === undefined ? (
          text
        ) : (
          // The pieces of one text are always the same ones.
          // biome-ignore lint/suspicious/noArrayIndexKey: see above
          <a key={index} href={url} target="_blank" rel="noopener noreferrer nofollow" title={url}>
            {text}
          </a>
        ),
      )}
      {shown.length < content.length && (
        <>
          {'… '}
          <button type="button" className="unfold" onClick={unfold}>
            {t('action.more')}
          </button>
        </>
      )}
    </>
  )
}

function folded(content: string): string {
  const lines = content.split('\n', MANY_LINES + 1)
  const short = lines.length > MANY_LINES ? lines.slice(0, MANY_LINES).join('\n') : content
  if (short.length <= LONG_TEXT) return short
  // Not in the middle of a letter that is two units long.
  return short.slice(0, LONG_TEXT).replace(/[\ud800-\udbff]$/, '')
}

/** One to three emoji and nothing else: they are shown large. */
export function isEmoji(content: string): boolean {
  // Most texts have letters in them, which is known sooner.
  return content.length <= 40 && !/[a-z]/i.test(content) && FEW_EMOJI.test(content)
}
