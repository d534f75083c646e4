import {
  type ClipboardEvent,
  type FormEvent,
  type KeyboardEvent,
  type RefObject,
  useEffect,
  useRef,
  useState,
} from 'react'
import type { Conversation } from '../../client/index.ts'
import { useClient, useDraft } from '../../client/react.ts'
import type { UserId } from '../../protocol/message.ts'
import { useRefusedFiles } from '../parts/files.ts'
import { Icon } from '../parts/icons.tsx'
import { usePerson } from '../parts/person.ts'
import { refusalText } from '../parts/refusal.ts'
import { t } from '../texts/index.ts'
import { useGrowing } from './growing.ts'
import { keyMeaning } from './keys.ts'

/** On a touch screen the keyboard comes up only when it is asked for. */
const HAS_KEYBOARD = matchMedia('(hover: hover) and (pointer: fine)').matches

/** Where one writes. What is typed is a draft that survives everything; Enter makes it a message. */
export function Composer({ other, onSend }: { other: UserId; onSend(id: string): void }) {
  const field = useRef<HTMLTextAreaElement>(null)
  const { text, fault, write, send, press, paste, pause } = useWriting(other, field, onSend)
  const { name } = usePerson(other)
  useGrowing(field, text)
  return (
    <form className="compose" onSubmit={send}>
      {fault && (
        <p className="fault" role="alert">
          {fault}
        </p>
      )}
      <textarea
        ref={field}
        rows={1}
        dir="auto"
        enterKeyHint={HAS_KEYBOARD ? 'send' : 'enter'}
        placeholder={t('compose.placeholder')}
        aria-label={t('compose.label', { name })}
        // biome-ignore lint/a11y/noAutofocus: who opens a conversation with a keyboard at hand wants to write
        autoFocus={HAS_KEYBOARD}
        value={text}
        onChange={({ target }) => write(target.value)}
        onKeyDown={press}
        onPaste={paste}
        onBlur={pause}
      />
      <button type="submit" className="sendb" aria-label={t('compose.send')} disabled={text.trim() === ''}>
        <Icon name="send" size={22} />
      </button>
    </form>
  )
}

function useWriting(other: UserId, field: RefObject<HTMLTextAreaElement | null>, onSend: (id: string) => void) {
  const client = useClient()
  const conversation = client.conversation(other)
  const [text, setText] = useDraft(other)
  const [fault, setFault] = useState<string>()
  const isEmpty = text.trim() === ''
  useEffect(() => () => conversation.typing(false), [conversation])
  useRefusedFiles(() => setFault(t('compose.images')))
  const write = (written: string): void => {
    setText(written)
    setFault(undefined)
    conversation.typing(written.trim() !== '')
  }
  const send = (event?: FormEvent): void => {
    event?.preventDefault()
    field.current?.focus()
    if (isEmpty) return
    // What cannot be sent at all is said at once, and stays to be changed.
    const { id, status, settled } = conversation.send(text)
    if (status.get() !== 'failed') {
      onSend(id)
      return write('')
    }
    void settled.then((outcome) => outcome.outcome === 'failed' && setFault(refusalText(outcome.code)))
  }
  const press = (event: KeyboardEvent<HTMLTextAreaElement>): void => {
    const meaning = keyMeaning(event, HAS_KEYBOARD)
    if (meaning === 'send') send()
    else if (meaning === 'leave') event.currentTarget.blur()
    else if (meaning !== 'edit' || !isEmpty || !editLastFailed(conversation)) return
    event.preventDefault()
  }
  const paste = ({ clipboardData }: ClipboardEvent): void => {
    if (clipboardData.files.length > 0) setFault(t('compose.images'))
  }
  return { text, fault, write, send, press, paste, pause: () => conversation.typing(false) }
}

/** Takes the newest message that was not sent back into the field; false when there is none. */
function editLastFailed({ messages, takeBack }: Conversation): boolean {
  const last = messages
    .get()
    .findLast(({ state, isUnstored }) => isUnstored && (state === 'failed' || state === 'held'))
  return last !== undefined && takeBack(last.id)
}
