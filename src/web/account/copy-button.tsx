import { useRef, useState } from 'react'
import { t } from '../texts/index.ts'

/** Puts a text on the clipboard, and says so. */
export function CopyButton({ text }: { text: string }) {
  const [isCopied, setCopied] = useState(false)
  const button = useRef<HTMLButtonElement>(null)
  const copy = async (): Promise<void> => {
    setCopied(await copied(text, button.current))
  }
  return (
    <button type="button" className="link" ref={button} onClick={() => void copy()}>
      <span aria-live="polite">{t(isCopied ? 'action.copied' : 'action.copy')}</span>
    </button>
  )
}

/** Pages that came over plain http have no clipboard of their own, but may copy what is selected. */
async function copied(text: string, beside: HTMLElement | null): Promise<boolean> {
  if (navigator.clipboard)
    return navigator.clipboard.writeText(text).then(
      () => true,
      () => false,
    )
  const area = document.createElement('textarea')
  area.value = text
  area.className = 'sr'
  beside?.after(area)
  area.select()
  const isDone = document.execCommand('copy')
  area.remove()
  beside?.focus()
  return isDone
}
