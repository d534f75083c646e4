import { t } from '../texts/index.ts'
import { Card } from './card.tsx'
import { CopyButton } from './copy-button.tsx'

/** Recovery codes, shown this once. */
export function Codes({ codes, onDone }: { codes: readonly string[]; onDone(): void }) {
  return (
    <Card title={t('auth.codes')} hint={t('auth.codes.hint')} onSubmit={onDone}>
      <CodeList codes={codes} />
      <button type="submit" className="primary">
        {t('auth.codes.kept')}
      </button>
    </Card>
  )
}

export function CodeList({ codes }: { codes: readonly string[] }) {
  const text = codes.join('\n')
  return (
    <>
      <ol className="codes" dir="ltr">
        {codes.map((code) => (
          <li key={code}>
            <code>{code}</code>
          </li>
        ))}
      </ol>
      <div className="ways">
        <CopyButton text={text} />
        <button type="button" className="link" onClick={() => saveAsFile(text)}>
          {t('auth.codes.download')}
        </button>
      </div>
    </>
  )
}

function saveAsFile(text: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([`${location.host}\n\n${text}\n`], { type: 'text/plain' }))
  link.download = `recovery-codes-${location.hostname}.txt`
  link.click()
  URL.revokeObjectURL(link.href)
}
