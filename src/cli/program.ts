import { Command, InvalidArgumentError, Option } from 'commander'
import { COMMAND_LINE } from '../accounts/audit.ts'
import type { RevocationStore, RevocationTarget } from '../auth/revocation-store.ts'
import { newServiceKey, revokeServiceKey, SCOPES, type Scope, type ServiceKeyStore } from '../auth/service-key.ts'
import type { TokenIssuer } from '../auth/token-issuer.ts'
import type { EpochStore } from '../messages/epoch-store.ts'
import { USER_ID_PATTERN } from '../protocol/limits.ts'
import type { UserId } from '../protocol/message.ts'
import { avatarUrlFault, displayNameFault, type UserDirectory } from '../users/user.ts'
import { type AccountTools, type AuditReport, addAccounts } from './account-commands.ts'
import { type Check, type CheckResult, runChecks } from './doctor.ts'
import { type Output, type Printable, printer } from './output.ts'
import { addStorageCommands, type StorageTools } from './storage-commands.ts'
import { addTrace, type Trace } from './trace.ts'

/** What commands act on; opened for one command and closed after it. */
export interface CliServices {
  readonly serviceKeys: ServiceKeyStore
  /** None under `AUTH=none`, where nobody is refused. */
  readonly revocations: RevocationStore | undefined
  readonly users: UserDirectory
  readonly epoch: EpochStore
  readonly trace: Trace
  /** None unless `AUTH=accounts`. */
  readonly accounts: AccountTools | undefined
  readonly checkAudit: () => Promise<AuditReport>
  /** None unless the configuration has a secret that signs tokens, or people sign in here. */
  issuer(): Promise<TokenIssuer | undefined>
  /**
   * As the routes have it: undefined where there are accounts and this person has none that is active. With accounts the audit notes it,
   * with the seconds that were asked for.
   */
  issuedAt(userId: UserId, seconds: number | undefined): Promise<number | undefined>
  /** How long what is revoked is kept: no token of any configuration lives longer; seconds. */
  readonly lifetimeSeconds: number
}

export interface ProgramOptions {
  readonly version: string
  /** Runs a command with the services of the configuration, and closes them. */
  readonly withServices: <T>(command: (services: CliServices) => Promise<T>) => Promise<T>
  readonly checks: () => Promise<readonly Check[]>
  readonly storage: StorageTools
  readonly output: Output
}

/** The actor, as the audit shows it. */
const ACTOR = 'command line'

/** The command `messaging`: what a person does to a running service from its machine. */
export function createProgram(options: ProgramOptions): Command {
  const program = new Command('messaging')
    .description('Administers a messaging server. Reads the same environment as the service.')
    .version(options.version)
    .showHelpAfterError('(add --help for what can be said)')
  const print = (command: Command, value: Printable): void => printer(options.output, command.optsWithGlobals())(value)
  addKeys(program, options, print)
  addTokens(program, options, print)
  addAccounts(program, addUsers(program, options, print), {
    withAccounts: (command) =>
      options.withServices(({ accounts }) => {
        if (!accounts) throw new Error('There are no accounts here: this needs AUTH=accounts.')
        return command(accounts)
      }),
    checkAudit: () => options.withServices(({ checkAudit }) => checkAudit()),
    print,
    fail: () => options.output.fail(),
  })
  addEpoch(program, options, print)
  addTrace(program, (work) => options.withServices(({ trace }) => work(trace)), print)
  addStorageCommands(program, options.storage, print)
  addDoctor(program, options, print)
  // Only what does something prints, so only there `--json` means anything.
  for (const command of leavesOf(program)) command.option('--json', 'print JSON')
  return program
}

type Print = (command: Command, value: Printable) => void

function addKeys(program: Command, { withServices }: ProgramOptions, print: Print): void {
  const keys = program.command('keys').description("service keys of an app's backend")
  keys
    .command('create')
    .description('make a key; it is shown once')
    .requiredOption('--name <name>', 'what the key is for', nonEmpty)
    .requiredOption('--scopes <list>', `separated by commas: ${SCOPES.join(', ')}`, scopeList)
    .option('--expires-in <seconds>', 'when it ends; never unless said', wholeSeconds)
    .action(async ({ name, scopes, expiresIn }: { name: string; scopes: Scope[]; expiresIn?: number }, command) => {
      const { key, stored } = newServiceKey(name, scopes)
      await withServices(({ serviceKeys }) => serviceKeys.add(stored, expiresIn))
      print(command, {
        json: { key_id: stored.keyId, key, scopes },
        text: `${key}\n\nThis is the only time that the key is shown. Its id is ${stored.keyId}.`,
      })
    })
  keys
    .command('list')
    .description('all keys, without their secrets')
    .action(async (_, command: Command) => {
      const all = await withServices(({ serviceKeys }) => serviceKeys.list())
      const rows = all.map((key) => ({
        key_id: key.keyId,
        name: key.name,
        scopes: key.scopes,
        last_used_at: isoOrNull(key.lastUsedAtMs),
        expires_at: isoOrNull(key.expiresAtMs),
        revoked_at: isoOrNull(key.revokedAtMs),
      }))
      const line = (row: (typeof rows)[number]) =>
        `${row.key_id}  ${row.name}  ${row.scopes.join(',')}  ${stateOfKey(row.revoked_at, row.last_used_at)}`
      print(command, { json: rows, text: rows.map(line).join('\n') || 'There is no key.' })
    })
  keys
    .command('revoke <key_id>')
    .description('end a key; every instance refuses it within two seconds')
    .action(async (keyId: string, _, command: Command) => {
      await withServices(async (services) => {
        const [{ serviceKeys, lifetimeSeconds }, revocations] = [services, revocationsOf(services)]
        const isRevoked = await revokeServiceKey(keyId, serviceKeys, (target) =>
          revocations.add(target, { actor: ACTOR, lifetimeSeconds }),
        )
        if (!isRevoked) throw new Error(`There is no key ${keyId} that is not revoked.`)
      })
      print(command, { json: { key_id: keyId }, text: `The key ${keyId} is revoked.` })
    })
}

function addTokens(program: Command, { withServices }: ProgramOptions, print: Print): void {
  const token = program.command('token').description('tokens of people')
  token
    .command('issue <user_id>')
    .description('make a token with JWT_SECRET, or with AUTH=accounts of an account')
    .option('--expires-in <seconds>', 'how long it lives; an hour unless said', wholeSeconds)
    .action(async (userId: string, { expiresIn }: { expiresIn?: number }, command: Command) => {
      const issued = await withServices(async (services) => {
        const issuer = await services.issuer()
        if (!issuer) throw new Error('Tokens can be made with AUTH=jwt and JWT_SECRET, or with AUTH=accounts.')
        const { maxLifetimeSeconds } = issuer
        if ((expiresIn ?? 1) > maxLifetimeSeconds)
          throw new Error(`A token lives ${maxLifetimeSeconds} seconds at most.`)
        if (!issuer.canName(checkedUserId(userId)))
          throw new Error('No token can name this user: JWT_USER_ESCAPE is on, and no subject becomes this id.')
        const issuedAtSeconds = await services.issuedAt(userId, expiresIn)
        if (issuedAtSeconds === undefined) throw new Error(`There is no active account ${userId}.`)
        return issuer.issue(userId, expiresIn, { issuedAtSeconds })
      })
      const expires_at = new Date(issued.expiresAtMs).toISOString()
      print(command, { json: { token: issued.token, expires_at }, text: issued.token })
    })
  program
    .command('revoke')
    .description('refuse tokens from now on and end their sockets, within two seconds on every instance')
    .addOption(new Option('--user <user_id>', 'every token of this user up to now').conflicts(['session', 'jti']))
    .addOption(new Option('--session <sid>', 'every token of this login').conflicts(['jti']))
    .option('--jti <jti>', 'one token')
    .action(async (given: { user?: string; session?: string; jti?: string }, command: Command) => {
      const target = targetOf(given)
      await withServices(async (services) =>
        revocationsOf(services).add(target, { actor: ACTOR, lifetimeSeconds: services.lifetimeSeconds }),
      )
      print(command, { json: target, text: `Revoked: ${Object.values(target).join()}.` })
    })
}

/** A shell that lacks AUTH would leave open the logins and invites that the service has, and say that all is done. */
function revocationsOf({ revocations }: CliServices): RevocationStore {
  if (revocations) return revocations
  throw new Error('AUTH=none refuses nobody, so nothing was revoked. Give this command the AUTH of the service.')
}

function addUsers(program: Command, { withServices }: ProgramOptions, print: Print): Command {
  const users = program.command('users').description('the directory of people')
  users
    .command('get <user_ids...>')
    .description('how people are shown')
    .action(async (userIds: string[], _, command: Command) => {
      const found = await withServices((services) => services.users.find(userIds.map(checkedUserId)))
      print(command, shownUsers(found))
    })
  users
    .command('search <prefix>')
    .description('described people by the beginning of their id or of a word of their name')
    .action(async (prefix: string, _, command: Command) => {
      print(command, shownUsers(await withServices((services) => services.users.search(prefix, 20))))
    })
  users
    .command('set <user_id>')
    .description('describe a person')
    .option('--display-name <name>', 'how the person is called', checkedBy('display name', displayNameFault))
    .option('--avatar-url <url>', 'an https:// address of a picture', checkedBy('avatar URL', avatarUrlFault))
    .action(async (userId: string, given: { displayName?: string; avatarUrl?: string }, command: Command) => {
      const user = await withServices((services) => services.users.describe(checkedUserId(userId), given, COMMAND_LINE))
      if (!user) throw new Error(`There is no account ${userId}.`)
      print(command, shownUsers([user]))
    })
  return users
}

function addEpoch(program: Command, { withServices }: ProgramOptions, print: Print): void {
  program
    .command('epoch')
    .description('the line of history that numbers of messages belong to')
    .command('renew')
    .description('begin a new one after messages were lost or restored by hand: every client then looks again')
    .option('--because <reason>', 'for the log', nonEmpty, 'asked for on the command line')
    .action(async ({ because }: { because: string }, command: Command) => {
      const { epoch } = await withServices(async (services) =>
        services.epoch.renew(await services.epoch.read(), because),
      )
      print(command, { json: { epoch }, text: `The epoch is ${epoch} now. Every socket is asked to come back.` })
    })
}

function addDoctor(program: Command, { checks, output }: ProgramOptions, print: Print): void {
  program
    .command('doctor')
    .description('check what the service needs: configuration, database, clock, Redis, key set, open files')
    .action(async (_, command: Command) => {
      const { results, exitCode } = await runChecks(await checks())
      const line = ({ name, status, detail }: CheckResult) => `${status.padEnd(7)} ${name}: ${detail}`
      print(command, { json: results, text: results.map(line).join('\n') })
      if (exitCode !== 0) output.fail(exitCode)
    })
}

function leavesOf(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leavesOf)
}

function targetOf({ user, session, jti }: { user?: string; session?: string; jti?: string }): RevocationTarget {
  if (user !== undefined) return { user_id: checkedUserId(user) }
  if (session !== undefined) return { session_id: session }
  if (jti !== undefined) return { jti }
  throw new Error('Say whose tokens: --user, --session or --jti.')
}

function checkedUserId(text: string): string {
  if (USER_ID_PATTERN.test(text)) return text
  throw new Error(`${JSON.stringify(text)} is not a user id: it must match ${USER_ID_PATTERN.source}.`)
}

function scopeList(text: string): Scope[] {
  const named = text.split(',').map((one) => one.trim())
  const known = SCOPES.filter((scope) => named.includes(scope))
  const unknown = named.filter((one) => !SCOPES.some((scope) => scope === one))
  if (unknown.length > 0) throw new InvalidArgumentError(`${unknown.join(', ')} is no scope.`)
  return known
}

function wholeSeconds(text: string): number {
  const value = Number(text)
  if (!/^\d{1,9}$/.test(text) || value < 1) throw new InvalidArgumentError('It must be a whole number of seconds.')
  return value
}

function nonEmpty(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It must not be empty.')
  return text
}

function checkedBy(what: string, faultOf: (text: string) => string | undefined): (text: string) => string {
  return (text) => {
    const fault = faultOf(text)
    if (fault !== undefined) throw new InvalidArgumentError(`The ${what} ${fault}.`)
    return text
  }
}

function shownUsers(
  users: readonly { userId: string; displayName: string; avatarUrl: string | undefined }[],
): Printable {
  const rows = users.map((user) => ({
    user_id: user.userId,
    display_name: user.displayName,
    ...(user.avatarUrl !== undefined && { avatar: user.avatarUrl }),
  }))
  const line = (row: (typeof rows)[number]) => `${row.user_id}  ${row.display_name}`
  return { json: rows, text: rows.map(line).join('\n') || 'Nobody was found.' }
}

function stateOfKey(revokedAt: string | null, lastUsedAt: string | null): string {
  if (revokedAt !== null) return `revoked ${revokedAt}`
  return lastUsedAt === null ? 'never used' : `used ${lastUsedAt}`
}

function isoOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}
