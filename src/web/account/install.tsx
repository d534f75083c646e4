import { useStore } from '../../client/react.ts'
import { installOffer } from '../parts/install-offer.ts'
import { t } from '../texts/index.ts'
import { Section } from './panel.tsx'

/** Where a browser can make an app of the page and would otherwise hide it in a menu. */
export function Install() {
  const offer = useStore(installOffer)
  if (!offer) return null
  return (
    <Section>
      <button type="button" className="link" onClick={() => void offer()}>
        {t('settings.install')}
      </button>
    </Section>
  )
}
