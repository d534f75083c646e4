import type { KeyboardEvent } from 'react'
import { Avatar } from '../parts/avatar.tsx'
import { Icon } from '../parts/icons.tsx'
import { Link } from '../parts/link.tsx'
import { usePerson } from '../parts/person.ts'
import { chatPath } from '../parts/route.ts'
import { t } from '../texts/index.ts'
import { type Found, useFoundPeople } from './found.ts'

/** The people whose names begin with what was typed, and at the end the one who has exactly this name. */
export function People({ text, onChosen }: { text: string; onChosen: () => void }) {
  const { found, exact } = useFoundPeople(text)
  const count = found.length + (exact === undefined ? 0 : 1)
  return (
    <>
      <p className="sr" role="status">
        {count === 0 ? t('list.nobody') : t('list.results', { count })}
      </p>
      {count === 0 && <p className="hint">{t('list.nobody')}</p>}
      <ul className="list" onKeyDown={steer}>
        {found.map((person, index) => (
          <li key={person.id}>
            <FoundRow {...person} index={index} onChosen={onChosen} />
          </li>
        ))}
        {exact !== undefined && (
          <li>
            <Link className="item" href={chatPath(exact)} data-item={found.length} onClick={later(onChosen)}>
              <span className="avatar plain" aria-hidden="true">
                <Icon name="pen" />
              </span>
              <bdi className="name alone">{t('list.open', { name: exact })}</bdi>
            </Link>
          </li>
        )}
      </ul>
    </>
  )
}

function FoundRow({ id, name, index, onChosen }: Found & { index: number; onChosen: () => void }) {
  const person = usePerson(id)
  return (
    <Link className="item" href={chatPath(id)} data-item={index} onClick={later(onChosen)}>
      <Avatar {...person} name={name} />
      <span className="line">
        <span className="name">
          <bdi>{name}</bdi>
        </span>
      </span>
      <span className="line">
        <span className="last">{person.isOnline ? <span className="online">{t('presence.online')}</span> : id}</span>
      </span>
    </Link>
  )
}

/** After the link has opened: the list that it stands in goes away. */
const later = (task: () => void) => (): void => {
  setTimeout(task)
}

function steer(event: KeyboardEvent<HTMLElement>): void {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
  if (step === undefined) return
  event.preventDefault()
  const place = Number((event.target as HTMLElement).dataset['item']) + step
  const next = place < 0 ? 'input[type=search]' : `[data-item="${place}"]`
  event.currentTarget.closest('nav')?.querySelector<HTMLElement>(next)?.focus()
}
