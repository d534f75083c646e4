// The SDK in a real browser, on the real service, over links that really break: nothing may be lost, doubled or out of order.
import { beforeEach, describe, expect, test } from 'vitest'
import { type ChatTab, useChatSite } from '../support/chat-site.ts'
import { LAN_HOST } from '../support/chromium.ts'
import { post } from '../support/rest-client.ts'

const site = useChatSite()
beforeEach(() => site().proxy.set('open'))

let people = 0
/** Two users of one test alone. */
function couple(): { amy: string; ben: string } {
  people += 1
  return { amy: `amy-${people}`, ben: `ben-${people}` }
}
const numbered = (word: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${word} ${index + 1}`)

/** What the page shows is what is stored, in the same order, and at no moment was it otherwise. */
async function expectSame(tab: ChatTab, user: string, other: string): Promise<string[]> {
  const stored = await site().stored(user, other)
  const shown = await tab.rows()
  expect(shown.map(({ id, seq, content }) => ({ id, seq: Number(seq), content }))).toEqual(
    stored.map(({ id, seq, content }) => ({ id, seq, content })),
  )
  expect(stored.map(({ seq }) => seq)).toEqual(stored.map((_, index) => index + 1))
  expect(await tab.faults()).toEqual([])
  return stored.map(({ content }) => content)
}

describe.each([
  ['an origin that browsers trust', '127.0.0.1', true],
  ['plain http in the local network', LAN_HOST, false],
])('on %s', (_, host, isTrusted) => {
  test('what was in a dying link arrives once, over a reload and a restart of the service', async () => {
    const { amy, ben } = couple()
    const tab = await site().open(await site().person(), { host, user: amy, with: ben })
    expect(await tab.page.evaluate('[isSecureContext, "locks" in navigator]')).toEqual([isTrusted, isTrusted])
    await tab.sendAll(['in time'])
    await tab.untilRows(1, 'sent')
    site().proxy.set('silent')
    await tab.sendAll(numbered('swallowed', 3))
    await tab.untilRows(4, 'sent', 'sending', 'queued')
    await tab.until(`chat.rows()[1].state === 'sending'`)
    site().proxy.set('refused')
    await tab.page.reload()
    // What a closed page had written may be stored: it is still on its way. What waited behind it was never written.
    await tab.untilRows(4, 'sent', 'sending', 'queued')
    await tab.until(`chat.rows()[1].state === 'sending'`)
    await tab.untilState('waiting')
    site().proxy.set('open')
    await tab.untilRows(4, 'sent')
    site().proxy.set('mute')
    const committed = site().proxy.withheld('"sent"')
    await tab.sendAll(['stored, but nobody says so'])
    await committed
    await site().kill()
    site().proxy.set('open')
    await tab.sendAll(['typed while it was away'])
    await site().start()
    await tab.untilRows(6, 'sent')
    expect(await expectSame(tab, amy, ben)).toEqual([
      'in time',
      ...numbered('swallowed', 3),
      'stored, but nobody says so',
      'typed while it was away',
    ])
  })

  test('a page that was offline says so, and shows what came meanwhile when it is back', async () => {
    const { amy, ben } = couple()
    const context = await site().person()
    const tab = await site().open(context, { host, user: ben, with: amy })
    await tab.untilState('live')
    // An answer that is on its way when the network goes would let the page believe in its connection for some seconds more.
    site().proxy.set('silent')
    await context.setOffline(true)
    await tab.untilState('offline')
    const contents = numbered('missed', 40)
    for (const content of contents)
      await post({ port: site().port ?? 0 }, { sender_id: amy, receiver_id: ben, content })
    await tab.sendAll(['typed offline'])
    site().proxy.set('open')
    await context.setOffline(false)
    await tab.untilRows(41, 'received', 'sent')
    expect(await expectSame(tab, ben, amy)).toEqual([...contents, 'typed offline'])
  })

  test('three tabs send what each of them typed once, also that of a tab that was closed', async () => {
    const { amy, ben } = couple()
    const context = await site().person()
    const tabs: ChatTab[] = []
    for (let count = 0; count < 3; count += 1) tabs.push(await site().open(context, { host, user: amy, with: ben }))
    for (const tab of tabs) await tab.untilState('live')
    site().proxy.set('refused')
    const [first, second, third] = tabs as [ChatTab, ChatTab, ChatTab]
    await Promise.all([
      first.sendAll(numbered('first', 5)),
      second.sendAll(numbered('second', 5)),
      third.sendAll(numbered('third', 5)),
    ])
    await second.page.close()
    site().proxy.set('open')
    for (const tab of [first, third]) {
      await tab.untilRows(15, 'sent')
      const stored = await expectSame(tab, amy, ben)
      for (const word of ['first', 'second', 'third'])
        expect(stored.filter((content) => content.startsWith(word))).toEqual(numbered(word, 5))
    }
  })

  test('a page whose database is blocked starts without it, and nothing is missing when it is there again', async () => {
    const { amy, ben } = couple()
    const context = await site().person()
    const visit = await site().open(context, { host, user: ben, with: amy })
    await visit.untilState('live')
    await visit.page.close()
    const blocker = await site().openBlocker(context, host)
    const tab = await site().open(context, { host, user: ben, with: amy })
    await tab.until(`chat.client.storage.get().kind === 'memory'`)
    await tab.untilState('live')
    await post({ port: site().port ?? 0 }, { sender_id: amy, receiver_id: ben, content: 'are you there?' })
    await tab.untilRows(1, 'received')
    await tab.sendAll(['yes'])
    await tab.untilRows(2, 'received', 'sent')
    await blocker.close()
    await tab.page.reload()
    await tab.until(`chat.client.storage.get().kind === 'persistent'`)
    await tab.untilRows(2, 'received', 'sent')
    expect(await expectSame(tab, ben, amy)).toEqual(['are you there?', 'yes'])
  })
})
