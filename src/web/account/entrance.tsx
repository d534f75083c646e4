import { useState } from 'react'
import { Codes } from './codes.tsx'
import { Recover, Reset } from './new-password.tsx'
import { Register } from './register.tsx'
import { SignIn } from './sign-in.tsx'
import { type Step, stepOf } from './steps.ts'

/**
 * The door of a server with accounts: signing in, and what leads to it. `hash`: what a link says behind `#`. `onDone`: somebody
 * is signed in.
 */
export function Entrance({ hash, onDone }: { hash: string; onDone(): void }) {
  const [step, setStep] = useState<Step>(() => stepOf(hash) ?? { screen: 'signin' })
  const shared = { onDone, onStep: setStep }
  switch (step.screen) {
    case 'signin':
      return <SignIn note={step.note} {...shared} />
    case 'register':
      return <Register code={step.code} isFirst={step.isFirst ?? false} {...shared} />
    case 'recover':
      return <Recover onStep={setStep} />
    case 'reset':
      return <Reset code={step.code} onStep={setStep} />
    case 'codes':
      return <Codes codes={step.codes} onDone={onDone} />
  }
}
