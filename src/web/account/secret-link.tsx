import { CopyButton } from './copy-button.tsx'
import { Dialog } from './dialog.tsx'

/** A link that is shown once, to be given to somebody. */
export function SecretLink({
  title,
  hint,
  link,
  onClose,
}: {
  title: string
  hint: string
  link: string
  onClose(): void
}) {
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{hint}</p>
      <div className="secret">
        <input
          className="address"
          readOnly
          dir="ltr"
          aria-label={title}
          value={link}
          onFocus={({ target }) => target.select()}
        />
        <CopyButton text={link} />
      </div>
    </Dialog>
  )
}
