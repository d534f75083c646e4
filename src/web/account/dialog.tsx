import { type FormEvent, type ReactNode, useEffect, useId, useRef } from 'react'
import { t } from '../texts/index.ts'

interface DialogProps {
  readonly title: string
  readonly children?: ReactNode
  /** What the button says that goes on; without one there is only a button to close. */
  readonly action?: string
  readonly isDangerous?: boolean
  readonly isBusy?: boolean
  onAction?(): void
  onClose(): void
}

/** Asks in front of everything else. Escape closes it, and the focus goes back to where it was. */
export function Dialog({
  title,
  children,
  action,
  isDangerous = false,
  isBusy = false,
  onAction,
  onClose,
}: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  useEffect(() => {
    const before = document.activeElement
    const element = dialog.current
    element?.showModal()
    return () => {
      element?.close()
      if (before instanceof HTMLElement && before.isConnected) before.focus()
    }
  }, [])
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    if (action === undefined) onClose()
    else if (!isBusy) onAction?.()
  }
  return (
    <dialog
      ref={dialog}
      className="dialog"
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
    >
      <form className="card" onSubmit={submit} noValidate>
        <h2 id={id}>{title}</h2>
        {children}
        <div className="choice">
          <button type="button" className="quiet" onClick={onClose}>
            {t(action === undefined ? 'action.close' : 'action.cancel')}
          </button>
          {action !== undefined && (
            <button type="submit" className={isDangerous ? 'primary danger' : 'primary'} aria-disabled={isBusy}>
              {action}
            </button>
          )}
        </div>
      </form>
    </dialog>
  )
}
