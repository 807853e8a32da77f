import type { FastifyInstance } from 'fastify'
import type { ImportSource } from '../domain/imported-user.js'
import type { ImportReport, Remark } from '../flows/import-report.js'
import type { Sample } from '../flows/import-samples.js'
import { openSource, type System, systems } from '../import/source.js'
import { type Answer, type Call, type Command, table, UsageError } from './command.js'

interface Order {
  readonly system: System
  readonly path: string
  readonly batchSize: number
}

function readOrder(call: Call): Order {
  const [path, ...rest] = call.positionals
  if (path === undefined || rest.length > 0) throw new UsageError('Name one file.')
  const system = systems.find((one) => one === call.options.from)
  if (system === undefined) throw new UsageError(`Say where the file comes from: --from ${systems.join('|')}.`)
  if (system === 'firebase' && call.options['hash-config'] === undefined) {
    throw new UsageError(
      'Firebase’s passwords need the parameters of their project: --hash-config <file>, with what the Firebase console ' +
        'shows under Authentication, Users, ⋮, Password hash parameters.'
    )
  }
  for (const [option, of] of [
    ['hash-config', 'firebase'],
    ['user-model', 'django']
  ] as const) {
    if (call.options[option] !== undefined && system !== of) throw new UsageError(`--${option} goes with --from ${of}.`)
  }
  const batchSize = Number(call.options.batch ?? 500)
  if (!(Number.isInteger(batchSize) && batchSize >= 1 && batchSize <= 2000))
    throw new UsageError('--batch is 1 to 2000.')
  return { system, path, batchSize }
}

/** Known passwords, one for each scheme: asked for on a terminal, otherwise lines of standard input. */
async function readSamples(call: Call, schemes: ReadonlyMap<string, number>): Promise<Sample[]> {
  if (!call.io.isInteractive) {
    const lines = (await call.io.secret('')).split(/\r?\n/).filter((line) => line !== '')
    return lines.map((line, at) => {
      const tab = line.indexOf('\t')
      if (tab < 1) throw new UsageError(`Line ${at + 1} of the samples is not "username<TAB>password".`)
      return { name: line.slice(0, tab), password: line.slice(tab + 1) }
    })
  }
  const samples: Sample[] = []
  for (const [scheme, users] of schemes) {
    const name = await call.io.ask(`A user of the ${users} with ${scheme} whose password you know: `)
    samples.push({ name: name.trim(), password: await call.io.secret('Their password: ') })
  }
  return samples
}

/** What is wrong with the samples; empty where each scheme of the file has one that verified. */
async function checkSamples(call: Call, app: FastifyInstance, source: ImportSource): Promise<string[]> {
  const schemes = await app.flows.surveyPasswords(source)
  const results = await app.flows.verifySamples(source, await readSamples(call, schemes))
  const faults = results
    .filter(({ isRight }) => !isRight)
    .map(({ name, scheme }) =>
      scheme === null
        ? `${name} is not in the file, or has no password there that can be checked.`
        : `The password of ${name} (${scheme}) does not verify. Is it right, and the export whole?`
    )
  const verified = new Set(results.map(({ scheme }) => scheme))
  for (const [scheme, users] of schemes) {
    if (!verified.has(scheme)) faults.push(`There is no sample for ${scheme}, which ${users} user(s) have.`)
  }
  return faults
}

function describe(report: ImportReport, unit: string): string {
  const rows = [
    ['read', report.read],
    [report.isDryRun ? 'would be created' : 'created', report.created],
    ['there already', report.alreadyThere],
    ['refused', report.refused],
    ...[...report.skipped].map(([because, users]) => [`left out: ${because}`, users] as const),
    ['administrators among the created', report.administrators],
    ['API tokens', report.tokens]
  ] as const
  const parts = [
    report.isDryRun ? 'Dry run: nothing was written.' : '',
    table(
      ['USERS', ''],
      rows.map(([name, users]) => [name, String(users)])
    ),
    table(
      ['PASSWORDS', 'USERS', 'KEPT', ''],
      [...report.passwords].map(([scheme, { users, kept, because }]) => [
        scheme,
        String(users),
        String(kept),
        because ?? ''
      ])
    )
  ]
  if (report.roles.size > 0) {
    const states = { created: report.isDryRun ? 'would be created' : 'created', there: 'there already' }
    parts.push(
      table(
        ['ROLES', ''],
        [...report.roles].map(([name, state]) => [name, states[state]])
      )
    )
  }
  const remarks = (heading: string, some: readonly Remark[], more: number) => {
    if (some.length === 0) return
    const lines = some.map(({ at, because }) => (at === null ? `  ${because}` : `  ${unit} ${at}: ${because}`))
    parts.push([heading, ...lines, ...(more > 0 ? [`  and ${more} more`] : [])].join('\n'))
  }
  remarks('NOTES', report.notes, report.moreNotes)
  remarks('REFUSED', report.problems, report.refused - report.problems.length)
  return parts.filter((part) => part !== '').join('\n\n')
}

function toJson(report: ImportReport, unit: string): unknown {
  const remark = ({ at, because }: Remark) => ({ ...(at === null ? {} : { [unit]: at }), because })
  return {
    dry_run: report.isDryRun,
    read: report.read,
    created: report.created,
    already_there: report.alreadyThere,
    refused: report.refused,
    left_out: Object.fromEntries(report.skipped),
    administrators: report.administrators,
    tokens: report.tokens,
    passwords: Object.fromEntries(report.passwords),
    roles: Object.fromEntries(report.roles),
    notes: report.notes.map(remark),
    problems: report.problems.map(remark)
  }
}

/** Moving over from other systems. */
export const importCommands: Record<string, Command> = {
  'users import': {
    usage: `users import --from ${systems.join('|')} <file> [--dry-run]`,
    summary: 'Make accounts of another system’s users, with their passwords. Exits with 1 where some were refused.',
    options: {
      from: { type: 'string', help: `${systems.join(', ')}.` },
      'dry-run': { type: 'boolean', help: 'Write nothing, and report what would happen.' },
      'verify-sample': {
        type: 'boolean',
        help: 'First check a known password of each scheme: asked for, or lines "username<TAB>password" of standard input.'
      },
      'hash-config': { type: 'string', help: 'Firebase: a JSON file of signerKey, saltSeparator, rounds and memCost.' },
      'user-model': { type: 'string', help: 'Django: AUTH_USER_MODEL, where it is not auth.user.' },
      batch: { type: 'string', help: 'Accounts in one transaction, 1 to 2000; 500 by default.' }
    },
    details: `Running it again finishes an import that was interrupted: accounts that are there, by the id that they had in the
other system, are left as they are. One that was deleted here since is made again.

An account whose username or address belongs to another one is refused, and told with its line or element.
Passwords stay as they are until their next sign-in, which makes them argon2id. Schemes that are weak (md5, sha1, crypt)
or not supported are left out: such an account has no password.

Django: groups become roles, a role that is there already keeps the permissions that it has. Superusers get the roles
admin and staff, staff the role staff. Keys of rest_framework.authtoken go on working.

docs/migration.md shows how to export from each system.`,
    async run(call): Promise<Answer> {
      const { system, path, batchSize } = readOrder(call)
      const source = await openSource(system, path, {
        hashConfig: call.options['hash-config'] as string | undefined,
        userModel: call.options['user-model'] as string | undefined,
        now: new Date()
      })
      return await call.withApp(async (app) => {
        const faults = call.options['verify-sample'] ? await checkSamples(call, app, source) : []
        if (faults.length > 0) {
          return { text: ['Nothing was written.', ...faults].join('\n'), json: { faults }, exitCode: 1 }
        }
        const report = await app.flows.importUsers(source, {
          isDryRun: call.options['dry-run'] === true,
          batchSize,
          onProgress: (read) => call.io.error(`${read} read`)
        })
        const { unit } = source
        return { text: describe(report, unit), json: toJson(report, unit), exitCode: report.refused > 0 ? 1 : 0 }
      })
    }
  }
}
