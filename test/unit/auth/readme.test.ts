import { expect, onTestFinished, test, vi } from 'vitest'
import { fixedKeys } from '../../../src/auth/key-source.ts'
import { TokenVerifier } from '../../../src/auth/token-verifier.ts'
import { secretKey } from '../../../src/auth/verification-key.ts'
import { loadConfig } from '../../../src/config.ts'
import { machineTime } from '../../../src/lib/clock.ts'
import { document } from '../../support/readme.ts'
import { SECRET } from '../../support/tokens.ts'

const README = document('src/auth/README.md')
const blocksOf = (language: string) =>
  [...README.matchAll(new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, 'gs'))].map(([, text = '']) => text)

test('the ten lines of the README make a token that the service believes', async () => {
  const [code = '', ...more] = blocksOf('js')
  expect(more).toEqual([])
  expect(code.trim().split('\n').length).toBeLessThanOrEqual(10)
  vi.stubEnv('JWT_SECRET', SECRET)
  onTestFinished(() => void vi.unstubAllEnvs())
  const module: { chatToken(userId: string): string } = await import(
    /* @vite-ignore */ `data:text/javascript,${encodeURIComponent(code)}`
  )
  const { auth } = loadConfig({ AUTH: 'jwt', JWT_SECRET: SECRET })
  if (auth.mode !== 'jwt') throw new Error('AUTH=jwt was not read')
  const verifier = new TokenVerifier({
    keys: fixedKeys([secretKey(SECRET)]),
    algorithms: auth.algorithms,
    rules: { ...auth, audiences: [] },
    time: machineTime,
  })
  expect(verifier.verify(module.chatToken('ann'))).toMatchObject({ identity: { userId: 'ann' } })
})

test('every set-up of the README is a configuration that the service starts with', () => {
  const setUps = blocksOf('sh').filter((text) => text.startsWith('AUTH=jwt'))
  expect(setUps).toHaveLength(2)
  for (const text of setUps) {
    const lines = text.replaceAll('…', SECRET).trim().split('\n')
    const pairs = lines.map((line) => (/^(\w+)=(.*?)(?:\s+#.*)?$/.exec(line) ?? []).slice(1))
    expect(loadConfig(Object.fromEntries(pairs)).auth.mode).toBe('jwt')
  }
})
