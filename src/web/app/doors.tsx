import { lazy, Suspense } from 'react'
import { useStore } from '../../client/react.ts'
import { server } from '../parts/server.ts'
import { t } from '../texts/index.ts'
import { NameDoor } from './name-door.tsx'
import { door, enter, meet } from './session.ts'

// Of no use where nobody signs in, nor to whoever is signed in.
const Entrance = lazy(async () => ({ default: (await import('../account/entrance.tsx')).Entrance }))
const StrangerDoor = lazy(async () => ({ default: (await import('../account/token-door.tsx')).StrangerDoor }))
const TokenDoor = lazy(async () => ({ default: (await import('../account/token-door.tsx')).TokenDoor }))

/** Asks whoever comes who they are, as the server wants to know it. */
export function Doors() {
  const auth = useStore(server)?.auth
  const { hash, stranger, isLeaving } = useStore(door)
  if (isLeaving) return <Leaving />
  if (auth === 'none') return <NameDoor />
  return (
    <Suspense>
      {auth === 'accounts' ? (
        <Entrance hash={hash} onDone={() => enter({ session: true })} />
      ) : stranger ? (
        <StrangerDoor
          name={stranger.name}
          present={stranger.present.name}
          onAnswer={(isTaken) => void meet(stranger, isTaken)}
        />
      ) : (
        <TokenDoor />
      )}
    </Suspense>
  )
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
