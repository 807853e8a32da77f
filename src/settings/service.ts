import { BlockList, isIP } from 'node:net'
import { define, optional } from './setting.js'
import { integer, list, must, oneOf, origin, secretKey, text } from './values.js'

function issuer(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) must('an http or https URL')
  if (url!.search !== '' || url!.hash !== '' || url!.username !== '') must('a URL without query, fragment and user')
  if (text.endsWith('/')) must('written without a slash at its end: verifiers compare it letter by letter')
  return text
}

function network(text: string): string {
  const [address = '', prefix] = text.split('/')
  const family = isIP(address)
  if (family === 0) must('an address or a network such as 10.0.0.0/8')
  if (prefix !== undefined) {
    if (!/^\d{1,3}$/.test(prefix)) must('a network such as 10.0.0.0/8')
    try {
      new BlockList().addSubnet(address, Number(prefix), family === 6 ? 'ipv6' : 'ipv4')
    } catch {
      must('a network such as 10.0.0.0/8')
    }
  }
  return text
}

function databaseUrl(text: string): string {
  const [authority = ''] = text.replace(/^\w+:\/\//, '').split(/[/?#]/)
  // The driver would look for one host of that name, or see no URL at all.
  if (authority.slice(authority.lastIndexOf('@') + 1).includes(',')) {
    must('the URL of one host, which leads to whichever server is the primary (docs/deployment.md, Failover)')
  }
  return /^postgres(ql)?:\/\//.test(text) && URL.canParse(text)
    ? text
    : must('a URL such as postgres://user:password@host:5432/database')
}

/** Where the process listens, what it keeps, and whom it speaks for and to. */
export const service = {
  NODE_ENV: define({
    help: '`production` refuses to start with unsafe settings.',
    fallback: 'development',
    parse: text
  }),
  DATABASE_URL: optional({
    help: 'Postgres 13 or newer, at one host. Without it the embedded Postgres is used. Its file is read again for each new connection.',
    secret: true,
    example: 'postgres://keyturn:password@localhost:5432/keyturn',
    parse: databaseUrl
  }),
  HOST: define({ help: 'Address to listen on; 0.0.0.0 or :: for all.', fallback: '127.0.0.1', parse: text }),
  PORT: define({ help: 'Port to listen on.', fallback: '3000', parse: integer(0, 65_535) }),
  LOG_LEVEL: define({
    help: 'How much is logged, as JSON lines on standard output.',
    fallback: 'info',
    parse: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent')
  }),
  AUTH_DATA_DIR: define({
    help: 'Folder of the embedded database and of the master key that was made for it.',
    fallback: '.keyturn',
    parse: text
  }),
  AUTH_MASTER_KEY: optional({
    help: 'Seals the signing keys and authenticates refresh tokens; 32 random bytes in base64, the same on every replica. Without it one is made and kept in AUTH_DATA_DIR (not in production). Losing it ends every session.',
    secret: true,
    parse: secretKey
  }),
  AUTH_MASTER_KEY_PREVIOUS: optional({
    help: 'Comma-separated master keys that open and authenticate beside AUTH_MASTER_KEY, which alone seals and signs: how the master key changes without signing anybody out (docs/keys.md).',
    secret: true,
    parse: list(secretKey)
  }),
  AUTH_ISSUER: optional({
    help: 'Address at which clients reach this service: `iss` of every token, letter by letter.',
    fallbackNote: 'http://localhost:PORT',
    example: 'https://auth.example.com',
    parse: issuer
  }),
  AUTH_AUDIENCE: define({
    help: 'Comma-separated `aud` of access tokens: the services that may accept them.',
    fallback: 'api',
    parse: (value: string) => {
      const audience = list(text)(value)
      return audience.length > 0 ? audience : must('at least one name')
    }
  }),
  AUTH_CLIENT_ID: define({
    help: '`client_id` of tokens from this service’s own sign-in.',
    fallback: 'web',
    parse: (value) => (value.startsWith('ktc_') ? must('another name: ktc_ begins the ids of clients') : text(value))
  }),
  AUTH_ALLOWED_ORIGINS: define({
    help: 'Comma-separated origins of pages that may call with cookies, besides the issuer’s own.',
    fallback: '',
    example: 'https://app.example.com',
    parse: list(origin)
  }),
  AUTH_TRUSTED_PROXIES: define({
    help: 'Comma-separated addresses and networks of proxies whose X-Forwarded-For counts, and whose questions /v1/forward-auth answers. Without it no such header counts.',
    fallback: '',
    example: '10.0.0.0/8',
    parse: list(network)
  })
}
