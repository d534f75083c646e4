import { useEffect, useState } from 'react'
import type { Message } from '../../client/index.ts'
import { useClient } from '../../client/react.ts'
import type { UserId } from '../../protocol/message.ts'
import { t } from '../texts/index.ts'

/** What comes within this time is said in one sentence. */
const GATHER_MS = 1000

/** Says to screen readers what comes in the open conversation while the person looks at it: each message once, history never. */
export function Announcer({ other, name }: { other: UserId; name: string }) {
  const client = useClient()
  const [said, setSaid] = useState({ text: '', times: 0 })
  useEffect(() => {
    let gathered: string[] = []
    let timer: ReturnType<typeof setTimeout> | undefined
    const say = (): void => {
      timer = undefined
      const [first = ''] = gathered
      const count = gathered.length
      const text = count === 1 ? t('announce.message', { name, text: first }) : t('announce.many', { count, name })
      setSaid(({ times }) => ({ text, times: times + 1 }))
      gathered = []
    }
    const heard = ({ sender_id, content }: Message): void => {
      if (sender_id !== other || client.status.get().state !== 'live') return
      gathered.push(content)
      timer ??= setTimeout(say, GATHER_MS)
    }
    const end = client.on('message', heard)
    return () => {
      end()
      clearTimeout(timer)
    }
  }, [client, other, name])
  return (
    <p className="sr" aria-live="polite" data-announcer="">
      {/* Another element each time: two that say the same are two. */}
      <span key={said.times}>{said.text}</span>
    </p>
  )
}
