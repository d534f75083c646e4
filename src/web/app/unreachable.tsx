import { useEffect } from 'react'
import { t } from '../texts/index.ts'
import { begin } from './session.ts'

const EVERY_MS = 3000

/** Nothing is known of the server yet, and it does not answer. */
export function Unreachable() {
  useEffect(() => {
    const timer = setInterval(() => void begin(), EVERY_MS)
    return () => clearInterval(timer)
  }, [])
  return (
    <main className="door">
      <div className="card" role="status">
        <h1>{t('app.name')}</h1>
        <p>{t('app.unreachable')}</p>
      </div>
    </main>
  )
}
