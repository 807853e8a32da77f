import type { Account } from '../storage/accounts.js'
import { type Answer, accountOf, type Call, type Command, items, lifetime, one, table, UsageError } from './command.js'

const toJson = (account: Account) => ({
  id: account.id,
  username: account.username,
  email: account.email,
  roles: account.roles,
  permissions: account.permissions,
  disabled: account.disabledAt !== null,
  created_at: account.createdAt,
  last_login_at: account.lastLoginAt
})

function describe(account: Account): string {
  return table(
    ['', ''],
    [
      ['id', account.id],
      ['username', account.username],
      ['email', account.email ?? '(none)'],
      ['roles', account.roles.join(', ') || '(none)'],
      ['permissions', account.permissions.join(', ') || '(none of its own)'],
      ['state', account.disabledAt === null ? 'enabled' : `disabled since ${account.disabledAt.toISOString()}`],
      ['created', account.createdAt.toISOString()],
      ['last login', account.lastLoginAt?.toISOString() ?? '(never)']
    ]
  ).trim()
}

const answer = (account: Account, text: string): Answer => ({ text, json: { user: toJson(account) } })

const newUserOptions = {
  email: { type: 'string', help: 'Email address.' },
  roles: { type: 'string', help: 'Comma-separated roles.' }
} as const

async function create(call: Call, roles: readonly string[]): Promise<Answer> {
  const username = one(call, 'username')
  const password = call.options['no-password'] ? undefined : await call.io.secret('Password: ')
  const email = call.options.email as string | undefined
  const account = await call.withApp((app) => app.flows.createAccount({ username, email, password, roles }))
  return answer(account, `Created ${account.username} (${account.id}).`)
}

/** Everything about accounts, by whoever has the database. Passwords come from the terminal or standard input. */
export const userCommands: Record<string, Command> = {
  'admin create': {
    usage: 'admin create <username> [--email <address>]',
    summary: 'Make an administrator. The password is asked for, or read from standard input.',
    options: { email: newUserOptions.email },
    run: (call) => create(call, ['admin'])
  },
  'admin link': {
    usage: 'admin link [--expires 30m]',
    summary: 'Print a link that makes one administrator, once.',
    options: { expires: { type: 'string', help: 'Life of the link; 30m by default.' } },
    async run(call) {
      const life = lifetime(String(call.options.expires ?? '30m'))
      const { issuer } = call.config()
      const made = await call.withApp((app) => app.flows.invite({ roles: ['admin'], lifetime: life }))
      const link = `${issuer}/setup#t=${made.token}`
      return {
        text: `${link}\nValid until ${made.expiresAt.toISOString()}, once.`,
        json: { link, expires_at: made.expiresAt }
      }
    }
  },
  'user create': {
    usage: 'user create <username> [--email <address>] [--roles a,b] [--no-password]',
    summary: 'Make an account. The password is asked for, or read from standard input.',
    options: {
      ...newUserOptions,
      'no-password': { type: 'boolean', help: 'Make one that cannot sign in with a password: a service.' }
    },
    run: (call) => create(call, items(call.options.roles))
  },
  'user list': {
    usage: 'user list [--search <beginning>] [--limit 50] [--cursor <cursor>]',
    summary: 'List accounts, oldest first.',
    options: {
      search: { type: 'string', help: 'The beginning of a username or address.' },
      limit: { type: 'string', help: '1 to 1000; 50 by default.' },
      cursor: { type: 'string', help: 'Where the last page ended.' }
    },
    async run(call) {
      const limit = Number(call.options.limit ?? 50)
      if (!(Number.isInteger(limit) && limit >= 1 && limit <= 1000)) throw new UsageError('--limit is 1 to 1000.')
      const page = await call.withApp((app) =>
        app.flows.listUsers({
          limit,
          search: call.options.search as string | undefined,
          cursor: call.options.cursor as string | undefined
        })
      )
      const rows = page.users.map((user) => [
        user.id,
        user.username,
        user.email ?? '',
        user.roles.join(','),
        user.disabledAt === null ? 'enabled' : 'disabled'
      ])
      const more = page.next === undefined ? '' : `\n\nMore: --cursor ${page.next}`
      return {
        text: rows.length === 0 ? 'No users.' : table(['ID', 'USERNAME', 'EMAIL', 'ROLES', 'STATE'], rows) + more,
        json: { users: page.users.map(toJson), ...(page.next === undefined ? {} : { next_cursor: page.next }) }
      }
    }
  },
  'user show': {
    usage: 'user show <username, email or id>',
    summary: 'Show one account.',
    async run(call) {
      const name = one(call, 'user')
      const account = await call.withApp((app) => accountOf(app, name))
      return answer(account, describe(account))
    }
  },
  'user roles': {
    usage: 'user roles <username, email or id> --set a,b',
    summary: 'Replace the roles of an account. Its older tokens are refused, and clients refresh.',
    options: { set: { type: 'string', help: 'Comma-separated roles; empty for none.' } },
    async run(call) {
      const name = one(call, 'user')
      if (call.options.set === undefined) throw new UsageError('Say which roles: --set a,b')
      const roles = items(call.options.set)
      const account = await call.withApp(async (app) => app.flows.setUserRoles((await accountOf(app, name)).id, roles))
      return answer(account, `Roles of ${account.username}: ${account.roles.join(', ') || '(none)'}.`)
    }
  },
  'user permissions': {
    usage: 'user permissions <username, email or id> --set a,b',
    summary: 'Replace what an account may do beyond its roles.',
    options: { set: { type: 'string', help: 'Comma-separated permissions; empty for none.' } },
    async run(call) {
      const name = one(call, 'user')
      if (call.options.set === undefined) throw new UsageError('Say which permissions: --set a,b')
      const permissions = items(call.options.set)
      const account = await call.withApp(async (app) =>
        app.flows.setUserPermissions((await accountOf(app, name)).id, permissions)
      )
      return answer(account, `Permissions of ${account.username}: ${account.permissions.join(', ') || '(none)'}.`)
    }
  },
  'user disable': {
    usage: 'user disable <username, email or id>',
    summary: 'Disable an account, and end its sessions.',
    async run(call) {
      const name = one(call, 'user')
      const account = await call.withApp(async (app) => app.flows.disableUser((await accountOf(app, name)).id))
      return answer(account, `Disabled ${account.username}; its sessions are over.`)
    }
  },
  'user enable': {
    usage: 'user enable <username, email or id>',
    summary: 'Enable an account again.',
    async run(call) {
      const name = one(call, 'user')
      const account = await call.withApp(async (app) => app.flows.enableUser((await accountOf(app, name)).id))
      return answer(account, `Enabled ${account.username}.`)
    }
  },
  'user unlock': {
    usage: 'user unlock <username, email or id>',
    summary: 'Let an account be signed in to that wrong passwords had locked.',
    async run(call) {
      const name = one(call, 'user')
      const account = await call.withApp(async (app) => app.flows.unlockUser((await accountOf(app, name)).id))
      return answer(account, `Unlocked ${account.username}: its wrong passwords are forgotten.`)
    }
  },
  'user revoke-sessions': {
    usage: 'user revoke-sessions <username, email or id>',
    summary: 'End all sessions of an account.',
    async run(call) {
      const name = one(call, 'user')
      const ended = await call.withApp(async (app) => app.flows.endUserSessions((await accountOf(app, name)).id))
      return { text: `Ended ${ended} session(s).`, json: { ended } }
    }
  }
}
