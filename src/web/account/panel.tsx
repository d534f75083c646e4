import { type ReactNode, useId } from 'react'
import { Icon } from '../parts/icons.tsx'
import { goUp } from '../parts/route.ts'
import { t } from '../texts/index.ts'
import { useFocusAtFirst } from './card.tsx'

/** One screen of the settings, beside the list or in its place. `back`: the path above it. */
export function Panel({ title, back, children }: { title: string; back: string; children: ReactNode }) {
  // Whoever opens it by the keyboard goes on from its title.
  const heading = useFocusAtFirst<HTMLHeadingElement>()
  return (
    <main className="talk panel">
      <header className="head">
        <button
          type="button"
          className={back === '/' ? 'icon back' : 'icon'}
          aria-label={t('action.back')}
          onClick={() => goUp(back)}
        >
          <Icon name="back" size={22} />
        </button>
        <div className="who">
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
        </div>
      </header>
      <div className="sheet">{children}</div>
    </main>
  )
}

/** What belongs together, under a heading of its own. */
export function Section({ title, children }: { title?: string; children: ReactNode }) {
  const id = useId()
  return (
    <section className="section" aria-labelledby={title === undefined ? undefined : id}>
      {title !== undefined && <h2 id={id}>{title}</h2>}
      <div className="box">{children}</div>
    </section>
  )
}
