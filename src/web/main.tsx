import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './app/app.tsx'
import { Failed } from './app/failed.tsx'
import { begin } from './app/session.ts'
import { loadTexts } from './parts/language.ts'
import { startVersions } from './parts/versions.ts'
import { endAboveKeyboard } from './parts/viewport.ts'

/** What comes a moment later is worth no other picture before it; a server that does not answer is. */
const BEGIN_MS = 300
/** Longer, because words in another language would follow those in English. */
const TEXTS_MS = 3000
const atMost = (ms: number, task: Promise<void>): Promise<void> =>
  Promise.race([task, new Promise<void>((resolve) => setTimeout(resolve, ms))])

const place = document.getElementById('page')
if (place) {
  // An error that nobody has foreseen takes the whole page away: then it says so, in place of nothing at all.
  const fail = (error: unknown): void => {
    reportError(error)
    root.render(<Failed />)
  }
  const root = createRoot(place, { onUncaughtError: fail })
  addEventListener('load', () => void startVersions())
  endAboveKeyboard()
  const begun = begin()
  Promise.all([atMost(TEXTS_MS, loadTexts()), atMost(BEGIN_MS, begun)])
    .then(() => {
      root.render(
        <StrictMode>
          <App />
        </StrictMode>,
      )
      return begun
    })
    .catch(fail)
}
