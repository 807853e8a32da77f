import type { AddressInfo } from 'node:net'
import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import { migrateUp, migrationNames, migrationStatus } from '../db/migrate.js'
import { buildApp } from './app.js'
import type { Config } from './config.js'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded/postgres.js'
import { loadExtensions } from './extensions.js'
import type { Authenticator } from './plugins/authenticators.js'
import { version } from './version.js'

const setupLinkLife = 30 * 60_000

/** A start that cannot go on, with what to do about it. */
class StartError extends Error {
  override readonly name = 'StartError'
}

export interface OpenDatabase {
  readonly url: string
  readonly embedded: EmbeddedPostgres | undefined
  close(): Promise<void>
}

/** The database of the configuration: the one it names, or the embedded one, started where nobody runs it yet. */
export async function openConfiguredDatabase(
  config: Config,
  options: { exclusive: boolean; log?: (line: string) => void; onExit?: (reason: string) => void }
): Promise<OpenDatabase> {
  if (config.databaseUrl !== undefined) {
    return { url: config.databaseUrl, embedded: undefined, close: async () => {} }
  }
  const embedded = await startEmbeddedPostgres({ dataDir: config.dataDir, ...options })
  return { url: embedded.url, embedded, close: () => embedded.stop() }
}

/** Brings the schema up to date, or says who has to. */
export async function prepareSchema(config: Config, url: string): Promise<void> {
  if (config.migrateOnStart || config.databaseUrl === undefined) {
    await migrateUp(url)
    return
  }
  const pending = (await migrationStatus(url)).filter(({ appliedAt }) => appliedAt === null)
  if (pending.length > 0) {
    throw new StartError(
      `The database lacks ${pending.length} migration(s), from ${pending[0]!.name} on. ` +
        'Run `keyturn migrate up` as a role that owns the schema, or set AUTH_MIGRATE_ON_START=true.'
    )
  }
}

/** The service on the configured database, not listening. Authenticators may be added to those of AUTH_PLUGINS. */
export async function buildConfiguredApp(
  config: Config,
  url: string,
  {
    logger = true,
    authenticators = [],
    within = 'service',
    routes = true
  }: {
    logger?: boolean
    authenticators?: readonly Authenticator[]
    within?: 'service' | 'command'
    routes?: boolean
  } = {}
): Promise<FastifyInstance> {
  const latestMigration = (await migrationNames()).at(-1)!
  const options = config.app(url)
  const extensions = await loadExtensions(config.settings.AUTH_PLUGINS)
  const app = await buildApp({
    ...options,
    authenticators: { ...options.authenticators, custom: [...extensions.authenticators, ...authenticators] },
    signing: { ...options.signing, providers: extensions.keyProviders },
    audit: { ...options.audit, within },
    routes,
    latestMigration,
    ...(logger ? {} : { logger: false })
  })
  for (const { name } of extensions.authenticators) {
    if (options.authenticators.order.includes(name)) continue
    app.log.warn({ authenticator: name }, `AUTH_PLUGINS defines ${name}, which AUTH_AUTHENTICATORS does not name`)
  }
  return app
}

/** Makes the administrator of the settings, or a link for the first one, while there is none. */
async function prepareAdministrator(app: FastifyInstance, config: Config): Promise<string | undefined> {
  if (await app.flows.hasAdministrator()) return undefined
  if (config.bootstrapAdmin !== undefined) {
    await app.flows.bootstrapAdministrator(config.bootstrapAdmin)
    return undefined
  }
  if (!config.printSetupLink) return undefined
  const { token } = await app.flows.invite({ roles: ['admin'], lifetime: setupLinkLife, isSetup: true })
  return `${config.issuer}/setup#t=${token}`
}

function banner(config: Config, address: string, database: string, setupLink: string | undefined): string {
  const lines = [
    `  Keyturn ${version}, ready in ${(performance.now() / 1000).toFixed(1)} s (Node ${process.versions.node}, process ${process.pid})`,
    `  API        ${address}`,
    ...(config.settings.AUTH_DOCS ? [`  Docs       ${address}/docs`] : []),
    `  Key set    ${address}/.well-known/jwks.json`,
    `  Database   ${database}`
  ]
  if (config.settings.AUTH_MASTER_KEY === undefined) {
    lines.push(`  Master key ${config.dataDir}/master.key (back it up with the database)`)
  }
  if (setupLink !== undefined) {
    lines.push('', '  No administrator yet. Create one with this link (valid 30 minutes, once):', `    ${setupLink}`)
  }
  if (!config.production) {
    lines.push(
      '',
      '  Development mode. `npx keyturn doctor --production` lists what to change before others rely on it.'
    )
  }
  return `\n${lines.join('\n')}\n\n`
}

/** Runs the service until it is told to stop. Resolves once it listens. */
export async function serve(config: Config): Promise<void> {
  let app: FastifyInstance | undefined
  const opened = await openConfiguredDatabase(config, {
    exclusive: true,
    log: (line) => app?.log.warn({ postgres: line }, 'embedded Postgres'),
    onExit: (reason) => {
      // Without its database this process can do nothing for anybody; a supervisor, or a person, starts both again.
      process.stderr.write(`keyturn: the embedded Postgres ended (${reason}). Stopping; start again.\n`)
      process.exit(1)
    }
  })
  try {
    await prepareSchema(config, opened.url)
    app = await buildConfiguredApp(config, opened.url)
    await app.ready()
    const setupLink = await prepareAdministrator(app, config)
    await app.listen({ host: config.host, port: config.port })
    const { port } = app.server.address() as AddressInfo
    const address = config.issuer.startsWith('http://localhost') ? `http://localhost:${port}` : config.issuer
    const database =
      opened.embedded === undefined
        ? `Postgres at ${new URL(opened.url).host}`
        : `embedded Postgres in ${config.dataDir} (set DATABASE_URL for your own)`
    process.stdout.write(banner(config, address, database, setupLink))
  } catch (error) {
    await app?.close()
    await opened.close()
    throw error
  }

  const running = app
  closeWithGrace({ delay: config.shutdownGrace + 10_000 }, async ({ err }) => {
    if (err) running.log.fatal({ error: err.stack }, 'uncaught error')
    else await running.drain(config.shutdownGrace)
    await running.close()
    await opened.close()
  })
}
