import type { KeyboardEvent } from 'react'

type Meaning = 'send' | 'leave' | 'edit' | undefined

/**
 * What a key means in the field. While an input method is composing it means nothing here: browsers say so by `isComposing`, and
 * Safari, which ends the composition before it tells of the key that ended it, by the code 229.
 */
export function keyMeaning(event: KeyboardEvent, hasKeyboard: boolean): Meaning {
  const { key, keyCode, shiftKey, ctrlKey, metaKey, altKey } = event
  if (event.nativeEvent.isComposing || keyCode === 229) return undefined
  if (key === 'Enter') {
    if (ctrlKey || metaKey) return 'send'
    return hasKeyboard && !shiftKey && !altKey ? 'send' : undefined
  }
  if (key === 'Escape') return 'leave'
  return key === 'ArrowUp' ? 'edit' : undefined
}
