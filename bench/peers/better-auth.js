// better-auth as its manual sets it up: email and password, bearer and jwt, Postgres, node:http. Only the hash is
// Keyturn's own, argon2id at OWASP's parameters by the same library, so that the rest is compared.
import { createServer } from 'node:http'
import { hash, verify } from '@node-rs/argon2'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import { bearer, jwt } from 'better-auth/plugins'
import pg from 'pg'

const { DATABASE_URL, PORT } = process.env
const owasp = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
const options = {
  baseURL: `http://127.0.0.1:${PORT}`,
  secret: 'a secret that is long enough for a bench',
  database: new pg.Pool({ connectionString: DATABASE_URL, max: 10 }),
  emailAndPassword: {
    enabled: true,
    password: { hash: (password) => hash(password, owasp), verify: ({ hash, password }) => verify(hash, password) }
  },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  plugins: [bearer(), jwt()]
}
await (await getMigrations(options)).runMigrations()
const server = createServer(toNodeHandler(betterAuth(options)))
server.listen(Number(PORT), '127.0.0.1', () => console.log('listening'))
process.once('SIGTERM', () => process.exit())
