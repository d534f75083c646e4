import type { Command } from 'commander'
import type { Printable } from './output.ts'

/** What a backup is. */
export interface BackupReport {
  readonly began_at: string
  readonly postgres: string
  readonly files: number
  readonly bytes: number
}

/** What is done with the service's own PostgreSQL as a whole. */
export interface StorageTools {
  /** Copies it into a new directory; the service may run. */
  backUp(target: string): Promise<BackupReport>
  /** Brings a backup back into an empty `DATA_DIR`, and begins a new line of history. */
  restore(backup: string): Promise<BackupReport & { readonly epoch: string }>
  /** Copies everything into the database of `POSTGRES_DSN`, where nobody has done anything yet; rows by table. */
  move(): Promise<Readonly<Record<string, number>>>
}

export function addStorageCommands(
  program: Command,
  tools: StorageTools,
  print: (command: Command, value: Printable) => void,
): void {
  program
    .command('backup <directory>')
    .description("copy the service's own PostgreSQL into a new directory; the service may run")
    .action(async (directory: string, _, command: Command) => {
      const report = await tools.backUp(directory)
      print(command, { json: report, text: `${directory} holds ${sizeOf(report)}, of ${report.began_at} or later.` })
    })
  program
    .command('restore <directory>')
    .description('bring a backup back into a DATA_DIR that holds none; the service must not run')
    .action(async (directory: string, _, command: Command) => {
      const report = await tools.restore(directory)
      const text = `Restored ${sizeOf(report)}, as of ${report.began_at} or later. Every client will look again what is stored.`
      print(command, { json: report, text })
    })
  program
    .command('move')
    .description("copy everything from the service's own PostgreSQL in DATA_DIR to POSTGRES_DSN; no service may run")
    .action(async (_, command: Command) => {
      const rows = await tools.move()
      const text = `Moved ${rows['messages'] ?? 0} messages of ${rows['conversations'] ?? 0} conversations, and all else. Start the service with this POSTGRES_DSN; DATA_DIR is as it was.`
      print(command, { json: rows, text })
    })
}

const MIB = 2 ** 20

function sizeOf({ files, bytes }: BackupReport): string {
  return `${files} files with ${(bytes / MIB).toFixed(1)} MiB`
}
