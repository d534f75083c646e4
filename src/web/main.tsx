import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './app/app.tsx'
import { Failed } from './app/failed.tsx'
import { begin } from './app/session.ts'
import { loadTexts } from './parts/language.ts'
import { startVersions } from './parts/versions.ts'

const place = document.getElementById('page')
if (place) {
  // An error that nobody has foreseen takes the whole page away: then it says so, in place of nothing at all.
  const fail = (error: unknown): void => {
    reportError(error)
    root.render(<Failed />)
  }
  const root = createRoot(place, { onUncaughtError: fail })
  addEventListener('load', () => void startVersions())
  Promise.all([loadTexts(), begin()])
    .then(() =>
      root.render(
        <StrictMode>
          <App />
        </StrictMode>,
      ),
    )
    .catch(fail)
}
