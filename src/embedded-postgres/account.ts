import { chown, lchown, readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** The operating system user PostgreSQL runs as. */
export interface Account {
  readonly uid: number
  readonly gid: number
}

const NOBODY: Account = { uid: 65534, gid: 65534 }

/**
 * PostgreSQL refuses to run as root. For a service run by root this is the owner of an existing cluster, else `postgres`,
 * else `nobody`; for any other user it is undefined: PostgreSQL runs as the service does.
 */
export async function accountFor(clusterDir: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const cluster = await stat(clusterDir).catch(() => undefined)
  if (cluster && cluster.uid !== 0) return { uid: cluster.uid, gid: cluster.gid }
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '')
  return findAccount(passwd, 'postgres') ?? findAccount(passwd, 'nobody') ?? NOBODY
}

function findAccount(passwd: string, name: string): Account | undefined {
  const fields = passwd
    .split('\n')
    .find((line) => line.startsWith(`${name}:`))
    ?.split(':')
  const uid = Number(fields?.[2])
  const gid = Number(fields?.[3])
  return uid > 0 && gid > 0 ? { uid, gid } : undefined
}

/** Gives a directory and everything in it to the account. */
export async function giveTo(account: Account | undefined, directory: string): Promise<void> {
  if (!account) return
  await chown(directory, account.uid, account.gid)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) await giveTo(account, path)
    else await lchown(path, account.uid, account.gid)
  }
}

/** Whether the account may pass through the directory and all its parents, by their permission bits. */
export async function canPass(account: Account | undefined, directory: string): Promise<boolean> {
  if (!account) return true
  const { mode, uid, gid } = await stat(directory)
  const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001
  if ((mode & bit) === 0) return false
  const parent = dirname(directory)
  return parent === directory || canPass(account, parent)
}
