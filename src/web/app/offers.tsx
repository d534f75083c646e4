import { type ReactNode, useState } from 'react'
import { useClient, useStore } from '../../client/react.ts'
import { useCalmly } from '../parts/calm.ts'
import { identity } from '../parts/identity.ts'
import { hasChosenNotifying, notifying, setNotifying, whyNoNotifications } from '../parts/notifying.ts'
import { applyPushes } from '../parts/pushing.ts'
import { newVersion } from '../parts/versions.ts'
import { t } from '../texts/index.ts'

/** What the page would like to do, one thing at a time, below the conversations. */
export function Offers() {
  const update = useStore(newVersion)
  if (update)
    return (
      <Offer text={t('line.update')}>
        <button type="button" className="link" onClick={update}>
          {t('action.reload')}
        </button>
      </Offer>
    )
  return <NotifyOffer />
}

/** Until it was answered: the browser's own question comes after a tap. */
function NotifyOffer() {
  // To ask the browser takes a millisecond: not at each message.
  const [isOpen, setOpen] = useState(() => !hasChosenNotifying() && whyNoNotifications() === undefined)
  const answer = (isOn: boolean): void => {
    setOpen(false)
    void accept(isOn)
  }
  return isOpen && <NotifyQuestion onAnswer={answer} />
}

/** Only once somebody has written. */
function NotifyQuestion({ onAnswer }: { onAnswer(isOn: boolean): void }) {
  const { userId, conversations } = useClient()
  const hasReceived = useCalmly(conversations).some(({ last_message: last }) => last && last.sender_id !== userId)
  if (!hasReceived) return null
  return (
    <Offer text={t('notify.ask')}>
      <button type="button" className="link" onClick={() => onAnswer(true)}>
        {t('notify.yes')}
      </button>
      <button type="button" className="link" onClick={() => onAnswer(false)}>
        {t('notify.no')}
      </button>
    </Offer>
  )
}

async function accept(isOn: boolean): Promise<void> {
  await setNotifying({ ...notifying.get(), isOn })
  const auth = identity.get()
  // What the server cannot do now can be chosen again in the settings.
  if (auth && isOn) await applyPushes(auth, notifying.get()).catch(() => undefined)
}

function Offer({ text, children }: { text: string; children: ReactNode }) {
  return (
    <div className="offer" role="status">
      <p>{text}</p>
      <div className="ways">{children}</div>
    </div>
  )
}
