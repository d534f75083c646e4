import { useEffect, useState } from 'react'
import { t } from '../texts/index.ts'
import { begin } from './session.ts'

const EVERY_MS = 3000

/** Nothing is known of the server yet. */
export function Unreachable() {
  const [isLate, setLate] = useState(false)
  useEffect(() => {
    const timer = setInterval(() => {
      setLate(true)
      void begin()
    }, EVERY_MS)
    return () => clearInterval(timer)
  }, [])
  return (
    <main className="door">
      <div className="card" role="status">
        <h1>{t('app.name')}</h1>
        <p>{t(isLate ? 'app.unreachable' : 'app.loading')}</p>
      </div>
    </main>
  )
}
