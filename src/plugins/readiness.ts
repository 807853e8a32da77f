import fp from 'fastify-plugin'
import { sql } from 'kysely'

type Check = 'ok' | 'failed'

declare module 'fastify' {
  interface FastifyInstance {
    /** What the service needs for its work, looked at now. Never throws. */
    readiness(): Promise<{
      database: Check
      migrations: Check
      signing_key: Check
      revocations: Check
      accepting: Check
    }>
  }
}

export interface ReadinessOptions {
  /** The migration that this code was written for. */
  readonly latestMigration: string
}

export const readiness = fp<ReadinessOptions>(
  async (app, { latestMigration }) => {
    app.decorate('readiness', async () => {
      let database: Check = 'failed'
      let migrations: Check = 'failed'
      try {
        const { rows } = await sql<{ name: string }>`select name from migration order by name desc limit 1`.execute(
          app.db
        )
        database = 'ok'
        // A newer schema is fine: the old version goes on while the new one is rolled out.
        if (rows[0] !== undefined && rows[0].name >= latestMigration) migrations = 'ok'
      } catch (error) {
        app.log.warn({ error: (error as Error).message }, 'database is not ready')
      }
      let signingKey: Check = 'failed'
      try {
        app.keys.signing()
        signingKey = 'ok'
      } catch {
        // Told by the answer.
      }
      // A replica that reads no revocations must get no requests while there are others that do.
      const revocations = app.revocations.isKnown() ? 'ok' : 'failed'
      // Who is about to stop gets no new requests.
      const accepting = app.isDraining() ? 'failed' : 'ok'
      return { database, migrations, signing_key: signingKey, revocations, accepting }
    })
  },
  { name: 'readiness', dependencies: ['connections', 'database', 'keys', 'revocations'], fastify: '5.x' }
)
