import type { AnchorHTMLAttributes, MouseEvent } from 'react'
import { navigate } from './route.ts'

/** A link to a path of this page. With a modifier key, or in a new tab, it is the browser's own. */
export function Link({ href = '/', onClick, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement>) {
  const open = (event: MouseEvent<HTMLAnchorElement>): void => {
    onClick?.(event)
    if (event.defaultPrevented || event.button !== 0) return
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    navigate(href)
  }
  return <a href={href} onClick={open} {...rest} />
}
