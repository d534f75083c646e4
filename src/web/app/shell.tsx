import { useState } from 'react'
import { useClient } from '../../client/react.ts'
import type { UserId } from '../../protocol/message.ts'
import { Composer } from '../composer/composer.tsx'
import { Side } from '../conversations/side.tsx'
import { Messages } from '../messages/messages.tsx'
import { Later, Part } from '../parts/later.tsx'
import { useNarrow } from '../parts/narrow.ts'
import { usePerson } from '../parts/person.ts'
import { useRoute } from '../parts/route.ts'
import { Value } from '../parts/store.ts'
import { t } from '../texts/index.ts'
import { Banner } from './banner.tsx'
import { Head } from './head.tsx'
import { useNotifier } from './notifier.ts'
import { Offers } from './offers.tsx'
import { leave } from './session.ts'
import { useTitle } from './title.ts'

const SETTINGS = new Part(async () => (await import('../account/settings.tsx')).Settings)

/** The list beside what is open; on a narrow screen one of them. */
export function Shell() {
  const route = useRoute()
  useNotifier(useClient())
  // On a phone the list is all there is.
  const isAlone = useNarrow() && route.screen === 'list'
  const other = route.screen === 'chat' ? route.with : undefined
  return (
    <div className="shell" data-open={route.screen === 'list' ? undefined : ''}>
      <div className="pane" role={isAlone ? 'main' : undefined}>
        {isAlone && <h1 className="sr">{t('list.title')}</h1>}
        <Side>
          {isAlone && <Banner />}
          <Offers />
        </Side>
      </div>
      {route.screen === 'settings' ? (
        <Adjusting part={route.part} />
      ) : other === undefined ? (
        <Nobody />
      ) : (
        <Talk key={other} other={other} />
      )}
    </div>
  )
}

function Talk({ other }: { other: UserId }) {
  useTitle(usePerson(other).name)
  /** The message that was written here last. */
  const [sent] = useState(() => new Value(''))
  return (
    <main className="talk">
      <Head other={other} />
      <Banner />
      <Messages other={other} sent={sent} />
      <Composer other={other} onSend={sent.set} />
    </main>
  )
}

function Adjusting({ part }: { part: string }) {
  useTitle(t('settings.title'))
  return (
    <div className="adjusting">
      <Banner />
      <Later
        part={SETTINGS}
        props={{ part, onLeave: () => void leave() }}
        waiting={<main className="talk" />}
        failed={(content) => <main className="talk">{content}</main>}
      />
    </div>
  )
}

function Nobody() {
  useTitle(t('app.name'))
  return (
    <main className="talk">
      <Banner />
      <div className="none">
        <h1>{t('list.none')}</h1>
        <p>{t('list.none.hint')}</p>
      </div>
    </main>
  )
}
