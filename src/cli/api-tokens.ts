import type { ApiToken } from '../storage/api-tokens.js'
import { accountOf, type Command, items, lifetime, one, orMissing, table, UsageError } from './command.js'

const toJson = (token: ApiToken) => ({
  id: token.id,
  name: token.name,
  kind: token.kind,
  hint: token.hint,
  scopes: token.scopes,
  created_at: token.createdAt,
  expires_at: token.expiresAt,
  last_used_at: token.lastUsedAt
})

/** API tokens of whomever one names. */
export const apiTokenCommands: Record<string, Command> = {
  'token create': {
    usage: 'token create <username, email or id> --name <what for> [--scopes a,b] [--expires 90d]',
    summary: 'Make an API token and print its key, this once.',
    options: {
      name: { type: 'string', help: 'What it is for.' },
      scopes: {
        type: 'string',
        help: 'Comma-separated scopes that it is limited to; all that the account may do else.'
      },
      expires: { type: 'string', help: 'Its life; without end where it is left out.' }
    },
    async run(call) {
      const user = one(call, 'user')
      const { name, expires } = call.options
      if (typeof name !== 'string') throw new UsageError('Say what the token is for: --name "backup script"')
      const life = expires === undefined ? undefined : lifetime(String(expires))
      const made = await call.withApp(async (app) =>
        app.flows.createApiToken((await accountOf(app, user)).id, {
          name,
          scopes: items(call.options.scopes),
          lifetime: life
        })
      )
      return { text: made.key, json: { key: made.key, token: toJson(made.token) } }
    }
  },
  'token authtoken': {
    usage: 'token authtoken <username, email or id> [--reset]',
    summary:
      "Print the account's authtoken, the one that POST /api-token-auth/ answers with; made where there is none.",
    options: { reset: { type: 'boolean', help: 'Remove the one that is there first.' } },
    async run(call) {
      const user = one(call, 'user')
      const made = await call.withApp(async (app) => {
        const { id } = await accountOf(app, user)
        if (call.options.reset) await app.flows.deleteApiTokens(id, 'authtoken')
        return await app.flows.obtainAuthtoken(id)
      })
      return { text: made.key, json: { key: made.key, token: toJson(made.token) } }
    }
  },
  'token list': {
    usage: 'token list <username, email or id>',
    summary: 'List the API tokens of an account.',
    async run(call) {
      const user = one(call, 'user')
      const tokens = await call.withApp(async (app) => app.flows.listApiTokens((await accountOf(app, user)).id))
      const rows = tokens.map((token) => [
        token.id,
        token.name,
        `…${token.hint}`,
        token.scopes.join(','),
        token.expiresAt?.toISOString() ?? 'never',
        token.lastUsedAt?.toISOString() ?? 'never'
      ])
      return {
        text: rows.length === 0 ? 'No tokens.' : table(['ID', 'NAME', 'KEY', 'SCOPES', 'EXPIRES', 'LAST USED'], rows),
        json: { tokens: tokens.map(toJson) }
      }
    }
  },
  'token revoke': {
    usage: 'token revoke <username, email or id> <token id>',
    summary: 'Remove an API token. It is refused everywhere from then on.',
    async run(call) {
      const [user, id, ...rest] = call.positionals
      if (user === undefined || id === undefined || rest.length > 0) throw new UsageError('Name a user and a token id.')
      await call.withApp(async (app) => {
        const account = await accountOf(app, user)
        const message =
          `${account.username} has no API token ${JSON.stringify(id)}.\n` +
          `\`keyturn token list ${account.username}\` lists those that there are.`
        await orMissing(app.flows.deleteApiToken(account.id, id), message)
      })
      return { text: `Removed ${id}.`, json: { removed: id } }
    }
  }
}
