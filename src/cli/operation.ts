import { request } from 'node:http'
import { migrationNames, migrationStatus } from '../../db/migrate.js'
import { ConfigError, readConfig } from '../config.js'
import { describeSettings, exampleEnvironment } from '../settings.js'
import { version } from '../version.js'
import { type Call, type Command, table } from './command.js'
import { describeSeals } from './keys.js'

interface Finding {
  readonly level: 'ok' | 'warning' | 'failure'
  readonly subject: string
  readonly message: string
}

const marks = { ok: 'ok     ', warning: 'warning', failure: 'FAILED ' }

/** Looks at one thing; what it throws is the finding. */
async function look(subject: string, check: () => Promise<string>): Promise<Finding> {
  try {
    return { level: 'ok', subject, message: await check() }
  } catch (error) {
    return { level: 'failure', subject, message: (error as Error).message }
  }
}

async function examine(call: Call): Promise<Finding[]> {
  const findings: Finding[] = []
  const environment = call.options.production ? { ...process.env, NODE_ENV: 'production' } : process.env
  let production = false
  try {
    production = readConfig(environment, version).production
    findings.push({ level: 'ok', subject: 'configuration', message: 'every setting is valid' })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const fault of error.faults) findings.push({ level: 'failure', subject: 'configuration', message: fault })
  }
  const config = call.config()
  if (!production && !call.options.production) {
    const message = 'NODE_ENV is not production; run `keyturn doctor --production` before others rely on this service'
    findings.push({ level: 'warning', subject: 'mode', message })
  }
  if (config.settings.AUTH_TRUSTED_PROXIES.length === 0) {
    const message = 'AUTH_TRUSTED_PROXIES is empty; behind a proxy every device would have the proxy’s address'
    findings.push({ level: 'warning', subject: 'proxies', message })
  }
  findings.push(
    await look('migrations', async () => {
      const pending = (await call.withDatabase(migrationStatus)).filter(({ appliedAt }) => appliedAt === null)
      if (pending.length > 0) throw new Error(`${pending.length} to come; run \`keyturn migrate up\``)
      return `all ${(await migrationNames()).length} applied`
    })
  )
  if (findings.every(({ subject, level }) => subject !== 'migrations' || level === 'ok')) {
    findings.push(
      await look('signing keys', () =>
        call.withApp(async (app) => `${app.keys.published().length} published, ${app.keys.signing().algorithm} signs`)
      ),
      await look('sealed values', () =>
        call.withApp(async (app) => {
          const survey = await app.sealedValues.survey()
          if (survey.previous > 0 || survey.lost.length > 0) throw new Error(describeSeals(survey))
          return describeSeals(survey)
        })
      ),
      await look('password hashing', () =>
        call.withApp(async (app) => {
          await app.passwords.hash('calibration')
          const before = performance.now()
          await app.passwords.hash('calibration')
          return `${Math.round(performance.now() - before)} ms a password`
        })
      ),
      await look('administrator', () =>
        call.withApp(async (app) => {
          if (!(await app.flows.hasAdministrator()))
            throw new Error('there is none; run `keyturn admin create <username>`')
          return 'there is one'
        })
      )
    )
  }
  return findings
}

/** Asks the running service itself, without curl, for containers. */
function probe(port: number, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, timeout: 3_000 }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk) => {
        body += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    asked.on('timeout', () => asked.destroy(new Error('no answer within 3 s')))
    asked.on('error', reject)
    asked.end()
  })
}

/** For whoever runs the service. */
export const operationCommands: Record<string, Command> = {
  'config check': {
    usage: 'config check',
    summary: 'Check every setting. Exits with 2 where one is wrong.',
    async run(call) {
      call.config()
      return { text: 'Every setting is valid.', json: { ok: true } }
    }
  },
  'config print': {
    usage: 'config print [--example]',
    summary: 'Print the settings in force, without secrets.',
    options: { example: { type: 'boolean', help: 'Print .env.example instead.' } },
    async run(call) {
      if (call.options.example) return { text: exampleEnvironment().trimEnd(), json: { example: exampleEnvironment() } }
      const settings = describeSettings(process.env, call.config().settings)
      const rows = settings.map(({ name, value, source }) => [name, value, source])
      return { text: table(['SETTING', 'VALUE', 'FROM'], rows), json: { settings } }
    }
  },
  doctor: {
    usage: 'doctor [--production]',
    summary: 'Look for what is wrong, and say what to do. Exits with 1 where something is.',
    options: { production: { type: 'boolean', help: 'Judge as a start in production would.' } },
    async run(call) {
      const findings = await examine(call)
      return {
        text: findings.map(({ level, subject, message }) => `${marks[level]}  ${subject}: ${message}`).join('\n'),
        json: { findings },
        exitCode: findings.some(({ level }) => level === 'failure') ? 1 : 0
      }
    }
  },
  healthcheck: {
    usage: 'healthcheck',
    summary: 'Ask the service that runs beside this process whether it is ready. Exits with 1 where it is not.',
    async run(call) {
      const port = Number(process.env.PORT ?? call.config().port)
      const { status, body } = await probe(port, '/readyz').catch((error: Error) => ({
        status: 0,
        body: error.message
      }))
      return {
        text: status === 200 ? 'ready' : `not ready: ${body}`,
        json: { ready: status === 200 },
        exitCode: status === 200 ? 0 : 1
      }
    }
  },
  'openapi print': {
    usage: 'openapi print',
    summary: 'Print the interface as openapi.yaml.',
    async run(call) {
      const document = await call.withApp(async (app) => app.openapi(), { routes: true })
      const { stringify } = await import('yaml')
      // The committed file is of no installation.
      const neutral = { ...document, servers: [{ url: '/', description: 'This installation' }] }
      return { text: stringify(neutral, { lineWidth: 120 }).trimEnd(), json: neutral }
    }
  }
}
