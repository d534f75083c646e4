import { useState } from 'react'
import { useStore } from '../../client/react.ts'
import { identity } from '../parts/identity.ts'
import { type Notifying, notifying, setNotifying, whyNoNotifications } from '../parts/notifying.ts'
import { applyPushes } from '../parts/pushing.ts'
import { server } from '../parts/server.ts'
import { t } from '../texts/index.ts'
import { useAction } from './action.ts'
import { Problem } from './card.tsx'
import { Switch } from './fields.tsx'
import { Section } from './panel.tsx'

/** Whether this device tells of new messages, and how much it shows. A browser asks the person only after a tap. */
export function Notifications() {
  const state = useStore(notifying)
  const { failure, run } = useAction()
  const [why, setWhy] = useState(whyNoNotifications)
  const choose = async (isOn: boolean): Promise<void> => {
    await change({ ...state, isOn })
    setWhy(whyNoNotifications())
  }
  /** What the browser or the server refuses is said, and the page notifies as long as it is open. */
  const change = async (wanted: Notifying): Promise<void> => {
    await setNotifying(wanted)
    const auth = identity.get()
    if (auth) await run(() => applyPushes(auth, notifying.get()))
  }
  return (
    <Section title={t('settings.notifications')}>
      <Switch
        label={t('settings.notifications.on')}
        isOn={state.isOn && why === undefined}
        isBusy={why !== undefined}
        onChange={(isOn) => void choose(isOn)}
      />
      {state.isOn && why === undefined && (
        <Switch
          label={t('settings.notifications.text')}
          isOn={state.showsText}
          onChange={(showsText) => void change({ ...state, showsText })}
        />
      )}
      <Problem failure={failure} />
      <p className="hint">{why === undefined ? t(hintKey()) : t(`settings.notifications.${why}`)}</p>
    </Section>
  )
}

const hintKey = () => (server.get()?.push ? 'settings.notifications.push' : 'settings.notifications.hint')
