import type { ReactNode } from 'react'

const DRAWN = {
  search: (
    <>
      <circle cx="9" cy="9" r="5.5" />
      <path d="m13.2 13.2 3.3 3.3" />
    </>
  ),
  pen: <path d="M11.5 4.5 15.5 8.5 7 17H3v-4z" />,
  send: <path d="M10 16V4.5M5 9.2l5-5 5 5" />,
  back: <path d="M12.5 4 6.5 10l6 6" />,
  down: <path d="m5 8 5 5 5-5" />,
  close: <path d="m5.5 5.5 9 9m0-9-9 9" />,
  settings: (
    <>
      <path d="M3 6.5h7m4 0h3M3 13.5h3m4 0h7" />
      <circle cx="12" cy="6.5" r="2" />
      <circle cx="8" cy="13.5" r="2" />
    </>
  ),
} satisfies Record<string, ReactNode>

export type IconName = keyof typeof DRAWN

/** Drawn in the colour of the text around it; says nothing to screen readers. */
export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg
      className={name === 'back' ? 'drawn turns' : 'drawn'}
      width={size}
      height={size}
      viewBox="0 0 20 20"
      aria-hidden="true"
    >
      {DRAWN[name]}
    </svg>
  )
}
