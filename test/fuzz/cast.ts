import { randomBytes } from 'node:crypto'
import { clientWithKey, clientWithSecret } from '../support/clients.js'
import { fromOwnPage, goodPassword, type World } from '../support/world.js'

/** Whoever takes part in a run: credentials of every kind, and the ids that there are, by the names of `{{…}}`. */
export interface Cast {
  readonly words: ReadonlyMap<string, string>
  /** Those among them that nobody may be shown but who got them. */
  readonly secrets: readonly string[]
}

/** Fresh accounts with everything that an account can have. */
export async function freshCast(w: World): Promise<Cast> {
  const name = () => `user-${randomBytes(6).toString('hex')}`
  const person = async (roles: readonly string[] = []) => {
    const username = name()
    const { id } = await w.app.flows.createAccount({ username, password: goodPassword, roles })
    return {
      username,
      id,
      tokens: await w.login(username),
      apiKey: (await w.app.flows.createApiToken(id, { name: 'one' })).key
    }
  }
  const user = await person()
  const admin = await person(['admin'])
  const other = await person()
  const page = { username: user.username, password: goodPassword, refresh_transport: 'cookie', session: true }
  const login = await w.post('/v1/login', page, fromOwnPage)
  const cookies = login.cookies as unknown as Array<{ name: string; value: string }>
  const cookie = (end: string) => cookies.find((one) => one.name.endsWith(end))?.value ?? ''
  const sessions = (await w.get('/v1/sessions', user.tokens.access_token)).json().sessions as Array<{ id: string }>
  const keys = (await w.get('/v1/tokens', user.tokens.access_token)).json().tokens as Array<{ id: string }>
  const client = await clientWithSecret(w)
  const signer = await clientWithKey(w)
  const service = await w.app.inject({
    method: 'POST',
    url: '/oauth/token',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...client.basic.headers },
    payload: 'grant_type=client_credentials'
  })
  const { token: invitation } = await w.app.flows.invite({ roles: [], lifetime: 3_600_000, isSetup: false })
  const feed = (await w.get('/v1/revocations')).body.split('.')[1] ?? ''
  const cursor = JSON.parse(Buffer.from(feed, 'base64url').toString()).cursor
  const basic = Buffer.from(`${user.username}:${goodPassword}`).toString('base64')
  const secrets = {
    access: user.tokens.access_token,
    refresh: user.tokens.refresh_token,
    adminAccess: admin.tokens.access_token,
    apiToken: user.apiKey,
    adminApiToken: admin.apiKey,
    sessionCookie: cookie('session'),
    cookieRefresh: cookie('rt'),
    deviceCookie: cookie('device'),
    basic,
    clientBasic: client.basic.headers.authorization!.slice('Basic '.length),
    clientSecret: client.secret,
    assertion: signer.assertion(),
    serviceToken: service.json().access_token as string,
    invitation
  }
  const words = {
    ...secrets,
    username: user.username,
    otherUsername: other.username,
    accountId: user.id,
    otherAccountId: other.id,
    sessionId: sessions[0]!.id,
    apiTokenId: keys[0]!.id,
    clientId: client.id,
    cursor: String(cursor ?? '0'),
    password: goodPassword
  }
  for (const [key, value] of Object.entries(words)) {
    if (typeof value !== 'string' || value === '') throw new Error(`the cast has no ${key}`)
  }
  return { words: new Map(Object.entries(words)), secrets: Object.values(secrets) }
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

function damaged(text: string, how: string): string {
  const [kind, value = ''] = [how.slice(0, how.indexOf(':') >>> 0), how.slice(how.indexOf(':') + 1)]
  const at = Number(value) % Math.max(text.length, 1)
  switch (kind) {
    case 'flip': {
      const letter = alphabet[(alphabet.indexOf(text[at]!) + 1) % alphabet.length]!
      return text.slice(0, at) + letter + text.slice(at + 1)
    }
    case 'cut':
      return text.slice(0, at)
    case 'add':
      return text + value
    case 'twice':
      return text + text
    case 'upper':
      return text.toUpperCase()
    default:
      return text
  }
}

let count = 0

/** Fills in what stands for something of the cast; what nobody knows is left as it is. */
export function fill(text: string, { words }: Cast): string {
  return text.replace(/\{\{(\w+)(?:\|([^}]*))?\}\}/g, (whole, name: string, how: string | undefined) => {
    if (name === 'unique') return `${(count++).toString(36)}`
    const word = words.get(name)
    if (word === undefined) return whole
    return how === undefined ? word : damaged(word, how)
  })
}
