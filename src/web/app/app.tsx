import { ClientProvider, useClient, useStatus, useStore } from '../../client/react.ts'
import { useRefusedFiles } from '../parts/files.ts'
import { shownLanguage } from '../parts/language.ts'
import { server } from '../parts/server.ts'
import { t } from '../texts/index.ts'
import { Banner, Outage } from './banner.tsx'
import { Doors } from './doors.tsx'
import { door, present } from './session.ts'
import { Shell } from './shell.tsx'
import { Unreachable } from './unreachable.tsx'

/** All of it is rendered anew in another language. */
export function App() {
  return <Page key={useStore(shownLanguage)} />
}

function Page() {
  const isKnown = useStore(server) !== undefined
  const client = useStore(present)
  const { stranger, asked } = useStore(door)
  // Wherever one is: what was typed at the door would be gone with the page.
  useRefusedFiles()
  if (!isKnown) return <Unreachable />
  if (!client || stranger || asked !== undefined) return <Doors />
  return (
    <ClientProvider client={client}>
      <Known />
    </ClientProvider>
  )
}

/** Somebody who has just signed in is known once the server says who it is. */
function Known() {
  useStatus()
  const { userId } = useClient()
  return <Outage>{userId === '' ? <Unknown /> : <Shell key={userId} />}</Outage>
}

function Unknown() {
  return (
    <main className="door">
      <div className="card">
        <h1>{t('app.loading')}</h1>
        <Banner />
      </div>
    </main>
  )
}
