import { type ComponentType, type ReactNode, useCallback, useEffect, useState } from 'react'
import { t } from '../texts/index.ts'
import { Link } from './link.tsx'
import { isServed } from './versions.ts'

/** A part of the page that is fetched when it is first shown. */
export class Part<Props extends object> {
  readonly #load: () => Promise<ComponentType<Props>>
  /** Undefined until it is here. */
  shown: ComponentType<Props> | undefined

  constructor(load: () => Promise<ComponentType<Props>>) {
    this.#load = load
  }

  async fetch(): Promise<void> {
    this.shown ??= await this.#load()
  }
}

interface LaterProps<Props extends object> {
  readonly part: Part<Props>
  readonly props: Props
  /** In its place until it has been fetched. */
  readonly waiting?: ReactNode
  /** Where what there is to do stands when it could not be. */
  failed(content: ReactNode): ReactNode
}

/** A network that fails is no end of the page: it says so, and fetches again when the person wants it. */
export function Later<Props extends object>({ part, props, waiting, failed }: LaterProps<Props>) {
  const [, setFetched] = useState(0)
  const [failures, setFailures] = useState(0)
  const fetch = useCallback(() => {
    part.fetch().then(
      () => setFetched((count) => count + 1),
      () => setFailures((count) => count + 1),
    )
  }, [part])
  useEffect(fetch, [fetch])
  if (part.shown) return <part.shown {...props} />
  // It stays while it is fetched again: the button that was pressed keeps the focus.
  return failures > 0 ? failed(<Failure failures={failures} onRetry={fetch} />) : waiting
}

function Failure({ failures, onRetry }: { failures: number; onRetry(): void }) {
  const retry = async (): Promise<void> => {
    // Some browsers remember that a file could not be fetched until the page is loaded anew, which needs a server to load it from.
    if (failures > 1 && (await isServed())) location.reload()
    else onRetry()
  }
  return (
    <div className="none" role="alert">
      <h1>{t('app.unreachable')}</h1>
      <button type="button" className="primary" onClick={() => void retry()}>
        {t('line.now')}
      </button>
      <Link className="link" href="/">
        {t('action.back')}
      </Link>
    </div>
  )
}
