import { createHash } from 'node:crypto'
import { type ImportedAccount, type ImportSource, judgeImportedPassword, toAccount } from '../domain/imported-user.js'
import { uuidV7 } from '../domain/uuid.js'
import * as accounts from '../storage/accounts.js'
import * as imports from '../storage/imports.js'
import { note } from './audit.js'
import type { Tools } from './flow.js'
import { ImportReport } from './import-report.js'

export interface ImportOptions {
  /** Writes nothing, and reports the same. */
  readonly isDryRun: boolean
  /** Accounts in one transaction. */
  readonly batchSize: number
  /** Told the number of entries that were read, every few thousand. */
  readonly onProgress?: (read: number) => void
}

interface Candidate {
  readonly at: number
  readonly account: ImportedAccount
}

const progressEvery = 5_000

/**
 * Makes accounts of another system's users. One that is there already, by its external id, is left as it is, so that an
 * import that was interrupted is finished by running it again.
 */
export async function importUsers(tools: Tools, source: ImportSource, options: ImportOptions): Promise<ImportReport> {
  const report = new ImportReport(options.isDryRun)
  const now = tools.clock()
  const seen = new SeenNames(source.unit)
  for (const note of source.notes) report.note(null, note)
  await addRoles(tools, report, source.roles, now)

  let batch: Candidate[] = []
  const flush = async () => {
    if (batch.length > 0) await addBatch(tools, report, batch, now)
    batch = []
  }
  for await (const entry of source.entries()) {
    report.read++
    if (report.read % progressEvery === 0) options.onProgress?.(report.read)
    if (entry.kind === 'wrong') report.refuse(entry.at, entry.because)
    else if (entry.kind === 'skipped') report.skip(entry.because)
    else {
      const password = judgeImportedPassword(entry.user.password)
      const account = toAccount(entry.user, password.stored, now)
      if (!('externalId' in account)) {
        report.refuse(entry.at, account.join('; '))
        continue
      }
      const earlier = seen.add(account, entry.at)
      if (earlier !== undefined) {
        report.refuse(entry.at, earlier)
        continue
      }
      report.countPassword(password)
      for (const note of entry.user.notes) report.note(entry.at, note)
      batch.push({ at: entry.at, account })
      if (batch.length >= options.batchSize) await flush()
    }
  }
  await flush()
  report.problems.sort((a, b) => a.at! - b.at!)
  const { created, alreadyThere, refused, isDryRun } = report
  note(tools, 'users.imported', { created, alreadyThere, refused, isDryRun })
  return report
}

/**
 * Makes the roles that are missing. One that is there keeps its permissions: nobody who has it may do more because of
 * what a file says.
 */
async function addRoles(tools: Tools, report: ImportReport, roles: ImportSource['roles'], now: Date): Promise<void> {
  const there = await imports.findRoles(
    tools.db,
    roles.map(({ name }) => name)
  )
  const missing = roles.filter(({ name }) => !there.has(name))
  if (!report.isDryRun) await imports.insertMissingRoles(tools.db, missing, now)
  for (const { name, permissions } of roles) {
    report.roles.set(name, there.has(name) ? 'there' : 'created')
    const more = permissions.filter((permission) => there.has(name) && !there.get(name)!.includes(permission))
    if (more.length > 0) {
      report.note(null, `The role ${name} is there already and stays as it is: it does not get ${more.join(', ')}.`)
    }
  }
}

async function addBatch(tools: Tools, report: ImportReport, batch: readonly Candidate[], now: Date): Promise<void> {
  const unknown = new Set(batch.flatMap(({ account }) => account.roles).filter((name) => !report.roles.has(name)))
  if (unknown.size > 0) {
    const roles = [...unknown].map((name) => ({ name, description: '', permissions: [] }))
    await addRoles(tools, report, roles, now)
  }
  if (report.isDryRun) {
    const taken = await imports.findTaken(
      tools.db,
      batch.map(({ account }) => account)
    )
    for (const { at, account } of batch) {
      if (isTaken(account, taken)) judgeTaken(report, at, account, taken)
      else count(report, account, account.token === null ? 0 : 1)
    }
    return
  }
  try {
    await writeBatch(tools, report, batch)
  } catch (error) {
    // Of one row that the database refuses, the others of its batch must not suffer.
    if (!isRefusedByDatabase(error)) throw error
    if (batch.length === 1) report.refuse(batch[0]!.at, `the database refused it: ${(error as Error).message}`)
    else for (const candidate of batch) await addBatch(tools, report, [candidate], now)
  }
}

/** Errors of data and of constraints (SQLSTATE classes 22 and 23). */
const isRefusedByDatabase = (error: unknown) => /^2[23]/.test(String((error as { code?: unknown }).code))

async function writeBatch(tools: Tools, report: ImportReport, batch: readonly Candidate[]): Promise<void> {
  const rows = batch.map(({ account }) => ({ ...account, id: uuidV7(account.createdAt, tools.idEntropy(16)) }))
  const { added, tokens } = await tools.db.transaction().execute(async (trx) => {
    if (rows.some(({ roles }) => roles.includes('admin'))) await accounts.lockAdministrators(trx)
    const added = await imports.insertMissing(trx, rows)
    // In the transaction of its account, and never later: a key that was revoked here does not come back.
    const tokens = await imports.insertTokens(
      trx,
      rows.flatMap(({ externalId, token }) => {
        const accountId = added.get(externalId)
        if (accountId === undefined || token === null) return []
        return [{ ...token, accountId, id: uuidV7(token.createdAt, tools.idEntropy(16)) }]
      })
    )
    return { added, tokens }
  })
  report.tokens += tokens
  const left = batch.filter(({ account }) => !added.has(account.externalId))
  for (const { account } of batch) if (added.has(account.externalId)) count(report, account, 0)
  if (left.length === 0) return
  const taken = await imports.findTaken(
    tools.db,
    left.map(({ account }) => account)
  )
  for (const { at, account } of left) judgeTaken(report, at, account, taken)
}

function count(report: ImportReport, account: ImportedAccount, tokens: number): void {
  report.created++
  report.tokens += tokens
  if (account.roles.includes('admin') && account.disabledAt === null) report.administrators++
}

function isTaken(account: ImportedAccount, taken: imports.Taken): boolean {
  return (
    taken.externalIds.has(account.externalId) ||
    taken.usernameKeys.has(account.usernameKey) ||
    (account.emailKey !== null && taken.emailKeys.has(account.emailKey))
  )
}

function judgeTaken(report: ImportReport, at: number, account: ImportedAccount, taken: imports.Taken): void {
  const sameId = taken.externalIds.get(account.externalId)
  if (sameId !== undefined) {
    report.alreadyThere++
    // Renamed since, or somebody else: ids of two projects of one kind are not told apart.
    if (sameId !== account.usernameKey) {
      report.note(at, `${account.externalId} is there already as ${sameId}, and ${account.usernameKey} in the file`)
    }
  } else if (taken.usernameKeys.has(account.usernameKey))
    report.refuse(at, `the username ${JSON.stringify(account.username)} is taken by another account`)
  else if (account.emailKey !== null && taken.emailKeys.has(account.emailKey))
    report.refuse(at, `the email address ${JSON.stringify(account.email)} is taken by another account`)
  else report.refuse(at, 'another account had one of its names for a moment: run the import again')
}

/** The names of a file's users, by 53 bits of their digests: some 150 bytes a user, however long they are. */
class SeenNames {
  readonly #lines = {
    id: new Map<number, number>(),
    username: new Map<number, number>(),
    email: new Map<number, number>()
  }

  constructor(readonly unit: string) {}

  /** Remembers a user, or says which of its names an earlier one of the file has. */
  add(account: ImportedAccount, at: number): string | undefined {
    const names = [
      ['id', account.externalId],
      ['username', account.usernameKey],
      ['email', account.emailKey]
    ] as const
    const keys = names.flatMap(([kind, name]) => (name === null ? [] : [[kind, fingerprint(name)] as const]))
    for (const [kind, key] of keys) {
      const earlier = this.#lines[kind].get(key)
      if (earlier === undefined) continue
      const what = kind === 'email' ? 'email address' : kind
      return `${this.unit} ${earlier} has the same ${what}`
    }
    for (const [kind, key] of keys) this.#lines[kind].set(key, at)
    return undefined
  }
}

function fingerprint(name: string): number {
  const digest = createHash('sha256').update(name).digest()
  return digest.readUInt32BE(0) * 2 ** 21 + (digest.readUInt32BE(4) >>> 11)
}
