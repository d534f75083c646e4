import { type Command, InvalidArgumentError } from 'commander'
import { type Account, ROLES, type Role } from '../accounts/account.ts'
import type { AdminStore, Invite } from '../accounts/admin-store.ts'
import type { Administration } from '../accounts/administration.ts'
import { COMMAND_LINE } from '../accounts/audit.ts'
import { isUserIdForm } from '../accounts/secrets.ts'
import type { Printable } from './output.ts'

/** What became of the audit: see `accounts/audit-check.postgres.ts`. */
export interface AuditReport {
  readonly entries: number
  readonly end: string
  readonly fault: { readonly auditId: number; readonly reason: string } | undefined
}

/** What commands about the built-in accounts act on. */
export interface AccountTools {
  readonly administration: Administration
  readonly store: Pick<AdminStore, 'find' | 'named'>
  /** The secret of a link that makes the first administrator; undefined while there is one. */
  bootstrap(): Promise<string | undefined>
  link(kind: 'invite' | 'reset' | 'bootstrap', secret: string): string
}

export interface AccountCommandsOptions {
  /** Runs a command with these; rejects unless `AUTH=accounts`. */
  readonly withAccounts: <T>(command: (tools: AccountTools) => Promise<T>) => Promise<T>
  readonly checkAudit: () => Promise<AuditReport>
  readonly print: (command: Command, value: Printable) => void
  /** The command did its work and found something wrong. */
  readonly fail: () => void
}

/** Commands about people who sign in here: below `users`, and of their own. */
export function addAccounts(program: Command, users: Command, options: AccountCommandsOptions): void {
  addMaking(users, options)
  addStates(users, options)
  addChanges(users, options)
  addInvites(program, options)
  addBootstrap(program, options)
  addAudit(program, options)
}

function addMaking(users: Command, { withAccounts, print }: AccountCommandsOptions): void {
  users
    .command('create <username>')
    .description('make an account, and a link by which its person sets a password (AUTH=accounts, as all below)')
    .option('--display-name <name>', 'how the person is called')
    .option('--role <role>', ROLES.join(' or '), roleIn, 'member')
    .action(async (username: string, given: { displayName?: string; role: Role }, command: Command) => {
      const made = await withAccounts(async ({ administration, link }) => {
        const { userId, secret } = await administration.create(
          { displayName: undefined, ...given, username },
          COMMAND_LINE,
        )
        return { user_id: userId, url: link('reset', secret) }
      })
      print(command, {
        json: made,
        text: `${made.url}\n\nWhoever opens it within a day sets the password of ${username}.`,
      })
    })
  users
    .command('list')
    .description('accounts in the order of their names')
    .option('--search <prefix>', 'of a username or of a word of a name')
    .action(async ({ search }: { search?: string }, command: Command) => {
      const all = await withAccounts(({ administration }) => everybody(administration, search))
      const line = ({ user_id, username, role, state }: (typeof all)[number]) =>
        `${user_id}  ${username}  ${role}  ${state}`
      print(command, { json: all, text: all.map(line).join('\n') || 'There is no account.' })
    })
}

function addStates(users: Command, { withAccounts, print }: AccountCommandsOptions): void {
  const change = (name: string, description: string, act: (tools: AccountTools, userId: string) => Promise<Account>) =>
    users
      .command(`${name} <user>`)
      .description(description)
      .action(async (user: string, _, command: Command) => {
        const account = await withAccounts(async (tools) => act(tools, await idOf(user, tools)))
        print(command, { json: toJson(account), text: `${account.username} is ${account.state} now.` })
      })
  change('suspend', 'end all logins of a person, named by username or id, and let nobody write to them', (tools, id) =>
    tools.administration.suspend(id, COMMAND_LINE),
  )
  change('unsuspend', 'let a person sign in and be written to again', (tools, id) =>
    tools.administration.unsuspend(id, COMMAND_LINE),
  )
}

function addChanges(users: Command, { withAccounts, print }: AccountCommandsOptions): void {
  users
    .command('role <user> <role>')
    .description(`make somebody ${ROLES.join(' or ')}`)
    .action(async (user: string, role: string, _, command: Command) => {
      const account = await withAccounts(async (tools) =>
        tools.administration.setRole(await idOf(user, tools), roleIn(role), COMMAND_LINE),
      )
      print(command, { json: toJson(account), text: `${account.username} is ${account.role} now.` })
    })
  users
    .command('reset-link <user>')
    .description('a link by which a person sets another password, once and within a day')
    .action(async (user: string, _, command: Command) => {
      const url = await withAccounts(async (tools) =>
        tools.link('reset', await tools.administration.resetSecret(await idOf(user, tools), COMMAND_LINE)),
      )
      print(command, { json: { url }, text: url })
    })
  users
    .command('delete <user>')
    .description('delete an account for ever; messages stay')
    .requiredOption('--yes', 'that it is meant: there is no way back')
    .action(async (user: string, _, command: Command) => {
      const userId = await withAccounts(async (tools) => {
        const id = await idOf(user, tools)
        await tools.administration.remove(id, COMMAND_LINE)
        return id
      })
      print(command, { json: { user_id: userId }, text: `The account ${userId} is deleted.` })
    })
}

function addInvites(program: Command, { withAccounts, print }: AccountCommandsOptions): void {
  const invites = program.command('invites').description('who may register (AUTH=accounts)')
  invites
    .command('create')
    .description('make an invite; it is shown once')
    .option('--uses <n>', 'how many people may register by it', wholeNumber(1_000), 1)
    .option('--expires-in <seconds>', 'how long it is good', wholeNumber(30 * 86_400), 7 * 86_400)
    .option('--role <role>', ROLES.join(' or '), roleIn, 'member')
    .action(async (given: { uses: number; expiresIn: number; role: Role }, command: Command) => {
      const made = await withAccounts(async ({ administration, link }) => {
        const wish = { uses: given.uses, lifetimeSeconds: given.expiresIn, role: given.role }
        const invite = await administration.invite(wish, COMMAND_LINE)
        return { code_id: invite.codeId, code: invite.code, url: link('invite', invite.code) }
      })
      print(command, {
        json: made,
        text: `${made.url}\n\nThis is the only time that it is shown. Its id is ${made.code_id}.`,
      })
    })
  invites
    .command('list')
    .description('the invites that are still good')
    .action(async (_, command: Command) => {
      const all = await withAccounts(({ administration }) => administration.invites())
      const rows = all.map(inviteToJson)
      const line = (row: (typeof rows)[number]) =>
        `${row.code_id}  ${row.role}  ${row.uses_left} of ${row.uses} left  until ${row.expires_at}`
      print(command, { json: rows, text: rows.map(line).join('\n') || 'There is no invite.' })
    })
  invites
    .command('revoke <code_id>')
    .description('end an invite')
    .action(async (codeId: string, _, command: Command) => {
      await withAccounts(({ administration }) => administration.revokeInvite(codeId, COMMAND_LINE))
      print(command, { json: { code_id: codeId }, text: `The invite ${codeId} is revoked.` })
    })
}

function addBootstrap(program: Command, { withAccounts, print }: AccountCommandsOptions): void {
  program
    .command('admin')
    .description('the first administrator (AUTH=accounts)')
    .command('bootstrap')
    .description('a link for an hour: whoever opens it first becomes the administrator, while there is none')
    .action(async (_, command: Command) => {
      const url = await withAccounts(async ({ bootstrap, link }) => {
        const secret = await bootstrap()
        if (secret === undefined) throw new Error('There is an administrator; see `users role` and `users reset-link`.')
        return link('bootstrap', secret)
      })
      print(command, { json: { url }, text: url })
    })
}

function addAudit(program: Command, { checkAudit, print, fail }: AccountCommandsOptions): void {
  program
    .command('audit')
    .description('what was done by whom')
    .command('verify')
    .description('read the whole audit and say whether it is as it was written')
    .action(async (_, command: Command) => {
      const { entries, end, fault } = await checkAudit()
      const text = fault
        ? `The entry ${fault.auditId} ${fault.reason}. The ${entries} before it are as they were written.`
        : `${entries} entries are as they were written. The last one is ${end || 'none'}.`
      print(command, { json: { entries, end, fault: fault ?? null }, text })
      if (fault) fail()
    })
}

/** By id, else by username: people choose their names, and nobody must be able to stand where somebody else's id was meant. */
async function idOf(user: string, { store }: AccountTools): Promise<string> {
  const account = (await store.find(user)) ?? (isUserIdForm(user) ? undefined : await store.named(user))
  if (!account) throw new Error(`There is no account ${JSON.stringify(user)}.`)
  return account.userId
}

async function everybody(administration: Administration, search: string | undefined) {
  const all: ReturnType<typeof toJson>[] = []
  let cursor: string | undefined
  do {
    const { accounts, nextCursor } = await administration.list(search, cursor)
    all.push(...accounts.map(toJson))
    cursor = nextCursor ?? undefined
  } while (cursor !== undefined)
  return all
}

function toJson({ userId, username, displayName, role, state, createdAtMs }: Account) {
  const created_at = new Date(createdAtMs).toISOString()
  return { user_id: userId, username, display_name: displayName, role, state, created_at }
}

function inviteToJson({ codeId, role, uses, usesLeft, createdBy, expiresAtMs }: Invite) {
  const expires_at = new Date(expiresAtMs).toISOString()
  return { code_id: codeId, role, uses, uses_left: usesLeft, created_by: createdBy, expires_at }
}

function roleIn(text: string): Role {
  const role = ROLES.find((one) => one === text)
  if (role === undefined) throw new InvalidArgumentError(`It must be ${ROLES.join(' or ')}.`)
  return role
}

function wholeNumber(max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d{1,9}$/.test(text) && value >= 1 && value <= max) return value
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${max}.`)
  }
}
