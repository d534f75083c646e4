import { useTyping } from '../../client/react.ts'
import type { UserId } from '../../protocol/message.ts'
import { Avatar } from '../parts/avatar.tsx'
import { Icon } from '../parts/icons.tsx'
import { usePerson, usePresenceText } from '../parts/person.ts'
import { goBack } from '../parts/route.ts'
import { t } from '../texts/index.ts'

/** The name and the presence of the other person. */
export function Head({ other }: { other: UserId }) {
  const person = usePerson(other)
  const presence = usePresenceText(other)
  const isTyping = useTyping(other)
  return (
    <header className="head">
      <button type="button" className="icon back" aria-label={t('action.back')} onClick={goBack}>
        <Icon name="back" size={22} />
      </button>
      <Avatar {...person} isSmall />
      <div className="who">
        <h1>
          <bdi>{person.name}</bdi>
        </h1>
        <p>
          {isTyping ? (
            <span className="typing">{t('talk.typing.short')}</span>
          ) : (
            <span className={person.isOnline ? 'online' : undefined}>{presence}</span>
          )}
        </p>
      </div>
    </header>
  )
}
