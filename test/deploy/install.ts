import { installedProgram } from '../support/installed-program.ts'
import { PGBOUNCER } from '../support/pgbouncer.ts'
import { PROXY_SAMPLES } from '../support/sample-proxy.ts'

/** Installs what the plays need, before the first of them asks which version there is. */
// biome-ignore lint/style/noDefaultExport: vitest asks for it
export default async function install(): Promise<void> {
  const systemd = { programs: ['systemd-analyze'], package: 'systemd' }
  const promtool = { programs: ['promtool'], package: 'prometheus', env: { RUNLEVEL: '1' } }
  for (const source of [...PROXY_SAMPLES.map((sample) => sample.source), promtool, systemd, PGBOUNCER]) {
    await installedProgram(source).catch((error: Error) => process.stderr.write(`${error.message}\n`))
  }
}
