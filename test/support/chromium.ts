// The browser of the tests: the system's Chromium, driven by playwright-core, which brings none of its own.
import { type Browser, chromium } from 'playwright-core'
import { installedProgram } from './installed-program.ts'

const CHROMIUM = {
  programs: ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'],
  package: 'chromium',
}
/** Long enough for the download of an installation. */
export const BROWSER_START_LIMIT_MS = 300_000

const LAUNCH_LIMIT_MS = 120_000
/** For whatever a page is waited for; a busy machine may take long. */
export const PAGE_LIMIT_MS = 90_000

/** A name that leads to this machine, and that browsers do not trust as they trust `localhost` and 127.0.0.1. */
export const LAN_HOST = 'chat.test'

/** Nothing of it may reach for the network: it would wait for answers that never come. */
const FLAGS = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  '--no-first-run',
  `--host-resolver-rules=MAP ${LAN_HOST} 127.0.0.1`,
]

/**
 * Without a window. Root needs it without a sandbox, and so do containers; the only pages it opens are those of the tests.
 * Pages go into the back/forward cache as they do for people, which Playwright would turn off.
 */
export async function launchChromium(): Promise<Browser> {
  const executablePath = await installedProgram(CHROMIUM)
  const ignoreDefaultArgs = ['--disable-back-forward-cache']
  const options = { executablePath, headless: true, chromiumSandbox: false, args: FLAGS, ignoreDefaultArgs }
  return chromium.launch({ ...options, timeout: LAUNCH_LIMIT_MS })
}
