import { type ReactNode, useDeferredValue, useRef, useState } from 'react'
import { useClient } from '../../client/react.ts'
import { Avatar } from '../parts/avatar.tsx'
import { Icon } from '../parts/icons.tsx'
import { Link } from '../parts/link.tsx'
import { usePerson } from '../parts/person.ts'
import { useRoute } from '../parts/route.ts'
import { t } from '../texts/index.ts'
import { ConversationList } from './list.tsx'
import { People } from './people.tsx'
import { useReturn } from './returning.ts'
import { SearchField } from './search-field.tsx'

/** The person's own name, the search for others, and the conversations; below them what the page has to offer. */
export function Side({ children }: { children?: ReactNode }) {
  const [text, setText] = useState('')
  const wanted = useDeferredValue(text.trim())
  const isSearching = text.trim() !== ''
  return (
    <nav className="side" aria-label={t('list.title')}>
      <Me />
      <SearchField text={text} onText={setText} />
      {isSearching ? <People text={wanted} onChosen={() => setText('')} /> : <ConversationList />}
      {children}
    </nav>
  )
}

function Me() {
  const { userId } = useClient()
  const { name, picture } = usePerson(userId)
  const place = useRef<HTMLDivElement>(null)
  useReturn(useRoute().screen === 'settings' ? 'settings' : undefined, () =>
    place.current?.querySelector<HTMLElement>('[href="/settings"]')?.focus(),
  )
  return (
    <div className="me" ref={place}>
      <Avatar id={userId} name={name} picture={picture} isSmall />
      <b>
        <bdi>{name}</bdi>
      </b>
      <Link className="icon" href="/settings" aria-label={t('settings.title')}>
        <Icon name="settings" />
      </Link>
    </div>
  )
}
