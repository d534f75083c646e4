import { type FormEvent, type ReactNode, useEffect, useId, useRef } from 'react'
import type { Failure } from './errors.ts'

interface CardProps {
  readonly title: string
  readonly hint?: string
  onSubmit?(): void
  readonly children: ReactNode
}

/** One step at the door: a title, what it is about, and a form. */
export function Card({ title, hint, onSubmit, children }: CardProps) {
  const id = useId()
  const submit = (event: FormEvent): void => {
    event.preventDefault()
    onSubmit?.()
  }
  return (
    <main className="door">
      <form className="card" aria-labelledby={id} onSubmit={submit} noValidate>
        <div>
          <h1 id={id}>{title}</h1>
          {hint !== undefined && <p>{hint}</p>}
        </div>
        {children}
      </form>
    </main>
  )
}

/** What went wrong with the form as a whole. Keeps the focus where it is, and is read out. */
export function Problem({ failure }: { failure: Failure | undefined }) {
  return (
    <div role="alert" className="problem">
      {failure && failure.field === undefined && <p className="wrong">{failure.text}</p>}
    </div>
  )
}

/** The text of a failure that belongs to this field. */
export function errorAt(field: string, failure: Failure | undefined): string | undefined {
  return failure?.field === field ? failure.text : undefined
}

/** For the first thing to be read of what has just been put in place of something else. */
export function useFocusAtFirst<Element extends HTMLElement>() {
  const element = useRef<Element>(null)
  useEffect(() => element.current?.focus(), [])
  return element
}
