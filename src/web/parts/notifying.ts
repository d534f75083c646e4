import { keep, kept } from './kept.ts'
import { Value } from './store.ts'

/** Whether this device tells of new messages, and with their text. */
export interface Notifying {
  readonly isOn: boolean
  readonly showsText: boolean
}

const CHOICE = 'notifications'

/** What was chosen on this device. */
export const notifying = new Value<Notifying>(readChoice())

function readChoice(): Notifying {
  const choice = kept(CHOICE)
  return { isOn: choice === 'sender' || choice === 'full', showsText: choice === 'full' }
}
addEventListener('storage', ({ key }) => {
  if (key === CHOICE) notifying.set(readChoice())
})

/**
 * `missing`: browsers have notifications for pages over https alone. `ios`: and there only for those that were added to the Home
 * Screen. `blocked`: the person does not want those of this page.
 */
export function whyNoNotifications(): 'missing' | 'ios' | 'blocked' | undefined {
  if (!isSecureContext) return 'missing'
  if (typeof Notification === 'undefined') return isInTabOfIos() ? 'ios' : 'missing'
  return Notification.permission === 'denied' ? 'blocked' : undefined
}

/** An iPad says that it is a Mac, which has no touch screen. */
function isInTabOfIos(): boolean {
  const { userAgent, platform, maxTouchPoints } = navigator
  const isIos = /iP(ad|hone|od)/.test(userAgent) || (platform === 'MacIntel' && maxTouchPoints > 1)
  return isIos && !matchMedia('(display-mode: standalone)').matches
}

/** Only after a tap: asks the person for permission where it is needed. */
export async function setNotifying({ isOn, showsText }: Notifying): Promise<void> {
  const isAllowed = isOn && whyNoNotifications() === undefined && (await Notification.requestPermission()) === 'granted'
  const wanted = { isOn: isAllowed, showsText: isAllowed && showsText }
  keep(CHOICE, !isAllowed ? 'off' : showsText ? 'full' : 'sender')
  notifying.set(wanted)
}

/** Whether the person has been asked, here, and has said yes or no. */
export const hasChosenNotifying = (): boolean => kept(CHOICE) !== undefined

/** What a notification says of itself: of whom, and to whom. */
export interface Told {
  readonly with?: string | undefined
  readonly of?: string | undefined
}

/** Whether two are of one conversation, as far as they say to whom. */
export function isOfSame(one: Told, other: Told): boolean {
  const isToSame = one.of === undefined || other.of === undefined || one.of === other.of
  return one.with !== undefined && one.with === other.with && isToSame
}
