import { type RefObject, useLayoutEffect } from 'react'

const GROWS_BY_ITSELF = CSS.supports('field-sizing', 'content')

/** Makes the field as high as its text, where the browser does not do it. */
export function useGrowing(field: RefObject<HTMLTextAreaElement | null>, text: string): void {
  // biome-ignore lint/correctness/useExhaustiveDependencies: its height depends on the text
  useLayoutEffect(() => {
    const { current } = field
    if (GROWS_BY_ITSELF || !current) return
    current.style.height = 'auto'
    current.style.height = `${current.scrollHeight}px`
  }, [field, text])
}
