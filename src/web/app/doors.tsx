import type { ReactNode } from 'react'
import { useStore } from '../../client/react.ts'
import { Later, Part } from '../parts/later.tsx'
import { server } from '../parts/server.ts'
import { t } from '../texts/index.ts'
import { NameDoor } from './name-door.tsx'
import { door, enter, follow, meet } from './session.ts'

// Of no use where nobody signs in, nor to whoever is signed in.
const ENTRANCE = new Part(async () => (await import('../account/entrance.tsx')).Entrance)
const STRANGER = new Part(async () => (await import('../account/token-door.tsx')).StrangerDoor)
const LINK = new Part(async () => (await import('../account/token-door.tsx')).LinkDoor)
const TOKEN = new Part(async () => (await import('../account/token-door.tsx')).TokenDoor)

const failed = (content: ReactNode): ReactNode => <main className="door">{content}</main>

/** Asks whoever comes who they are, as the server wants to know it. */
export function Doors() {
  const auth = useStore(server)?.auth
  const { hash, stranger, asked, isLeaving } = useStore(door)
  if (isLeaving) return <Leaving />
  if (auth === 'none') return <NameDoor />
  if (asked !== undefined)
    return <Later part={LINK} props={{ present: asked, onAnswer: (isTaken) => void follow(isTaken) }} failed={failed} />
  if (auth === 'accounts')
    return <Later part={ENTRANCE} key={hash} props={{ hash, onDone: () => enter({ session: true }) }} failed={failed} />
  if (!stranger) return <Later part={TOKEN} props={{}} failed={failed} />
  const onAnswer = (isTaken: boolean): void => void meet(stranger, isTaken)
  return <Later part={STRANGER} props={{ stranger, present: stranger.present, onAnswer }} failed={failed} />
}

function Leaving() {
  return (
    <main className="door">
      <div className="card" role="status">
        <h1>{t('auth.working')}</h1>
      </div>
    </main>
  )
}
