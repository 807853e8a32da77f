import { migrateUp, migrationStatus, migrationText } from '../../db/migrate.js'
import { type Command, table } from './command.js'

/** The schema of the database. */
export const databaseCommands: Record<string, Command> = {
  'migrate up': {
    usage: 'migrate up',
    summary: 'Apply the migrations that are yet to come, in one transaction.',
    async run(call) {
      const applied = await call.withDatabase(migrateUp)
      return {
        text: applied.length === 0 ? 'Nothing to do: the database is up to date.' : `Applied ${applied.join(', ')}.`,
        json: { applied }
      }
    }
  },
  'migrate status': {
    usage: 'migrate status',
    summary: 'Show what was applied. Exits with 1 where something is yet to come.',
    async run(call) {
      const states = await call.withDatabase(migrationStatus)
      const rows = states.map(({ name, appliedAt }) => [name, appliedAt?.toISOString() ?? 'yet to come'])
      return {
        text: table(['MIGRATION', 'APPLIED'], rows),
        json: { migrations: states.map(({ name, appliedAt }) => ({ name, applied_at: appliedAt })) },
        exitCode: states.some(({ appliedAt }) => appliedAt === null) ? 1 : 0
      }
    }
  },
  sweep: {
    usage: 'sweep',
    summary:
      'Remove what is over: sessions, tokens and invitations a day after their end, and what only readers needed.',
    async run(call) {
      const swept = await call.withApp((app) => app.broom())
      const rows = Object.entries(swept).map(([name, count]) => [name, String(count)])
      return { text: rows.length === 0 ? 'Nothing to remove.' : table(['TABLE', 'REMOVED'], rows), json: { swept } }
    }
  },
  'migrate plan': {
    usage: 'migrate plan',
    summary: 'Print the SQL that `migrate up` would run.',
    async run(call) {
      const pending = (await call.withDatabase(migrationStatus)).filter(({ appliedAt }) => appliedAt === null)
      const plan = await Promise.all(pending.map(async ({ name }) => ({ name, sql: await migrationText(name) })))
      return {
        text: plan.length === 0 ? '-- Nothing to do.' : plan.map(({ name, sql }) => `-- ${name}\n${sql}`).join('\n'),
        json: { plan }
      }
    }
  }
}
