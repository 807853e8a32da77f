import { readFileSync } from 'node:fs'
import type { LiveClient } from '../storage/clients.js'
import { type Answer, type Command, items, one, table, UsageError } from './command.js'

const isDisabled = ({ client, account }: LiveClient) => client.disabledAt !== null || account.disabledAt !== null

const toJson = (found: LiveClient) => ({
  id: found.client.id,
  account_id: found.client.accountId,
  name: found.client.name,
  authentication: found.client.jwks === null ? 'secret' : 'keys',
  scopes: found.client.scopes,
  audience: found.client.audience,
  roles: found.account.roles,
  permissions: found.account.permissions,
  disabled: isDisabled(found),
  created_at: found.client.createdAt,
  last_used_at: found.client.lastUsedAt
})

/** A client with the secret that is shown this once: a line each, for people and for `read`. */
function made({ client, secret }: { client: LiveClient; secret: string | undefined }): Answer {
  const { id } = client.client
  return {
    text: secret === undefined ? id : `${id}\n${secret}`,
    json: { client: toJson(client), ...(secret === undefined ? {} : { client_secret: secret }) }
  }
}

/** The public keys of a file: a key set, or one key. */
function readKeys(file: string): { keys: readonly unknown[] } {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new UsageError(`${file} cannot be read as JSON: ${(error as Error).message}`)
  }
  const { keys } = (value ?? {}) as { keys?: unknown }
  return { keys: Array.isArray(keys) ? keys : [value] }
}

const setDisabled = (disabled: boolean): Command['run'] =>
  async function run(call) {
    const id = one(call, 'client')
    const client = await call.withApp((app) => app.flows.updateClient(id, { disabled }))
    const text = disabled ? `Disabled ${id}; its tokens are refused.` : `Enabled ${id}.`
    return { text, json: { client: toJson(client) } }
  }

/** Services that authenticate themselves. */
export const clientCommands: Record<string, Command> = {
  'client create': {
    usage: 'client create <name> [--scopes a,b] [--roles a,b] [--permissions a,b] [--audience a,b] [--jwks <file>]',
    summary: 'Register a service that authenticates itself; print its client_id and, this once, its client_secret.',
    options: {
      scopes: { type: 'string', help: 'Comma-separated scopes that it may ask for.' },
      roles: { type: 'string', help: 'Comma-separated roles.' },
      permissions: { type: 'string', help: 'Comma-separated permissions beyond its roles.' },
      audience: { type: 'string', help: 'Which of AUTH_AUDIENCE its tokens are for; all where it is left out.' },
      jwks: { type: 'string', help: 'A file with its public keys (private_key_jwt), instead of a secret.' }
    },
    async run(call) {
      const name = one(call, 'client')
      const { scopes, roles, permissions, audience, jwks } = call.options
      const keys = jwks === undefined ? undefined : readKeys(String(jwks))
      return made(
        await call.withApp((app) =>
          app.flows.createClient({
            name,
            scopes: items(scopes),
            roles: items(roles),
            permissions: items(permissions),
            audience: items(audience),
            jwks: keys
          })
        )
      )
    }
  },
  'client list': {
    usage: 'client list',
    summary: 'List the services that authenticate themselves, oldest first.',
    async run(call) {
      const clients = await call.withApp((app) => app.flows.listClients())
      const rows = clients.map((found) => [
        found.client.id,
        found.client.name,
        found.client.jwks === null ? 'secret' : 'keys',
        found.client.scopes.join(','),
        isDisabled(found) ? 'disabled' : 'enabled',
        found.client.lastUsedAt?.toISOString() ?? 'never'
      ])
      return {
        text:
          rows.length === 0 ? 'No clients.' : table(['CLIENT_ID', 'NAME', 'BY', 'SCOPES', 'STATE', 'LAST USED'], rows),
        json: { clients: clients.map(toJson) }
      }
    }
  },
  'client rotate-secret': {
    usage: 'client rotate-secret <client_id>',
    summary: 'Print another secret, this once. The old one is over at once, with the tokens that it got.',
    async run(call) {
      const id = one(call, 'client')
      return made(await call.withApp((app) => app.flows.rotateClientSecret(id)))
    }
  },
  'client disable': {
    usage: 'client disable <client_id>',
    summary: 'Disable a client and its account, and end its tokens.',
    run: setDisabled(true)
  },
  'client enable': {
    usage: 'client enable <client_id>',
    summary: 'Enable a client again.',
    run: setDisabled(false)
  },
  'client remove': {
    usage: 'client remove <client_id>',
    summary: 'Remove a client and its account, and end its tokens.',
    async run(call) {
      const id = one(call, 'client')
      await call.withApp((app) => app.flows.deleteClient(id))
      return { text: `Removed ${id}.`, json: { removed: id } }
    }
  }
}
