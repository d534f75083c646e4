import { Value } from './store.ts'

/** What Chromium hands out instead of a banner of its own; https://developer.mozilla.org/docs/Web/API/BeforeInstallPromptEvent. */
interface InstallEvent extends Event {
  prompt(): Promise<unknown>
}

/** Asks the browser to install the page; undefined where it does not offer that, or has done it. */
export const installOffer = new Value<(() => Promise<void>) | undefined>(undefined)

addEventListener('beforeinstallprompt', (event) => {
  event.preventDefault()
  installOffer.set(async () => {
    installOffer.set(undefined)
    await (event as InstallEvent).prompt()
  })
})
addEventListener('appinstalled', () => installOffer.set(undefined))
