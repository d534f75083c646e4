import { t } from '../texts/index.ts'

/** The page itself is broken. What was typed is in the storage, so that to load it anew loses nothing. */
export function Failed() {
  return (
    <main className="door">
      <div className="card" role="alert">
        <h1>{t('app.name')}</h1>
        <p>{t('app.failed')}</p>
        <button type="button" className="primary" onClick={() => location.reload()}>
          {t('action.reload')}
        </button>
      </div>
    </main>
  )
}
