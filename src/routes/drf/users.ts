import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import {
  type DrfError,
  detail,
  djangoPasswordErrors,
  DrfError as Failure,
  invalid,
  readFields,
  usernameError
} from '../../domain/drf.js'
import { judgeEmail } from '../../domain/identity.js'
import { Refusal } from '../../domain/refusal.js'
import { allow } from '../../domain/requirement.js'
import type { Account } from '../../storage/accounts.js'
import { type Access, type Answer, addEndpoint, door, noContent, ok, text } from './endpoint.js'

export interface DrfUsersOptions {
  /** Who is asked in which order, first for the challenge (DEFAULT_AUTHENTICATION_CLASSES). */
  readonly authenticators: readonly string[]
  readonly passwordMinLength: number
}

const username = { maxLength: 150 } as const
const wrongPassword = invalid({ current_password: ['Invalid password.'] })
const taken = 'A user with that username already exists.'

const userFields = {
  email: { type: 'email', required: false, read_only: false, label: 'Email address', max_length: 254 },
  id: { type: 'integer', required: false, read_only: true, label: 'ID' },
  username: {
    ...text('Username', false, true),
    help_text: 'Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.'
  }
}

/** djoser's users, and the registration that tutorials write. Its routes that send mail are not here. */
const routes: FastifyPluginAsync<DrfUsersOptions> = async (app, { authenticators, passwordMinLength }) => {
  const own: Access = { requirement: allow.authenticated(), authenticators }

  const toUser = (account: Account) => ({
    email: account.email ?? '',
    id: app.flows.drfId(account),
    username: account.username
  })

  /** Django's words for what we refuse, under the names that the request used. */
  function refused(error: unknown, password: string, names: { username: string; password: string }): unknown {
    if (!(error instanceof Refusal)) return error
    if (error.code === 'username_taken') return invalid({ [names.username]: [taken] })
    if (error.code === 'email_taken') return invalid({ email: ['user with this email already exists.'] })
    if (error.code === 'password_incorrect') return wrongPassword
    if (error.code !== 'validation_failed') return error
    const errors: Record<string, string[]> = {}
    const violations = error.errors ?? []
    for (const { pointer } of violations) {
      if (pointer === '/username') errors[names.username] = [usernameError]
      if (pointer === '/email') errors.email = ['Enter a valid email address.']
    }
    const codes = violations.filter(({ pointer }) => /password$/.test(pointer)).map(({ code }) => code)
    const messages = djangoPasswordErrors(password, codes, passwordMinLength)
    if (messages.length > 0) errors[names.password] = messages
    return invalid(errors)
  }

  async function create(request: FastifyRequest): Promise<{ account: Account } | DrfError> {
    const read = readFields(request.body, {
      email: { required: false, allowBlank: true, maxLength: 254 },
      username,
      password: {}
    })
    await app.rateLimits.register(request)
    const password = read.password!
    try {
      return await request.flows.register({ username: read.username!, password, email: read.email || undefined })
    } catch (error) {
      return refused(error, password, { username: 'username', password: 'password' }) as DrfError
    }
  }

  addEndpoint(app, {
    url: '/auth/users/',
    name: 'User List',
    fields: { email: userFields.email, username: text('Username'), password: text('Password') },
    access: own,
    // Whoever registers is not asked for a credential: an old one in a header keeps nobody out.
    accessOf: { POST: door },
    methods: {
      GET: async ({ principal, flows }) => ok([toUser(await flows.readProfile(principal.accountId))]),
      async POST(request): Promise<Answer> {
        const made = await create(request)
        if (made instanceof Error) throw made
        const { id, ...rest } = toUser(made.account)
        return { status: 201, body: { ...rest, id } }
      }
    }
  })

  addEndpoint(app, {
    url: '/api/register/',
    name: 'Register',
    fields: { username: text('Username'), password: text('Password'), email: { ...userFields.email } },
    access: door,
    methods: {
      async POST(request): Promise<Answer> {
        const made = await create(request)
        if (!(made instanceof Error)) return { status: 201, body: { message: 'User registered successfully' } }
        const { body } = made as { body?: { username?: string[] } }
        if (body?.username?.[0] === taken) throw new Failure(400, { error: 'Username already exists' })
        throw made
      }
    }
  })

  async function change(request: FastifyRequest): Promise<Answer> {
    const { principal, body } = request
    const read = readFields(body, {
      email: { required: false, allowBlank: true, maxLength: 254 },
      current_password: { required: false, trim: false }
    })
    const malformed = read.email ? judgeEmail(read.email) : []
    if (malformed.length > 0) throw invalid({ email: ['Enter a valid email address.'] })
    const account = await request.flows.readProfile(principal.accountId)
    if (read.email === undefined || read.email === (account.email ?? '')) return ok(toUser(account))
    // A new address is where a lost password is sent: djoser changes it for whoever holds a token, and here the
    // password is asked for.
    if (read.current_password === undefined) throw invalid({ current_password: ['This field is required.'] })
    await app.rateLimits.signIn(request)
    try {
      const changes = { email: read.email || null, currentPassword: read.current_password }
      return ok(toUser(await request.flows.changeProfile(principal.accountId, changes)))
    } catch (error) {
      throw refused(error, '', { username: 'username', password: 'password' })
    }
  }

  async function remove(request: FastifyRequest): Promise<Answer> {
    const { principal, body } = request
    const read = readFields(body, { current_password: { trim: false } })
    await app.rateLimits.signIn(request)
    try {
      await request.flows.deleteAccount(principal.accountId, read.current_password!)
    } catch (error) {
      throw refused(error, '', { username: 'username', password: 'password' })
    }
    return noContent
  }

  const self = {
    name: 'User Instance',
    fields: userFields,
    access: own,
    methods: {
      GET: async ({ principal, flows }: FastifyRequest) => ok(toUser(await flows.readProfile(principal.accountId))),
      PUT: change,
      PATCH: change,
      DELETE: remove
    }
  }
  addEndpoint(app, { ...self, url: '/auth/users/me/', name: 'User Me' })

  /** Others are as unknown as nobody (HIDE_USERS). */
  const ifSelf = (run: (request: FastifyRequest) => Promise<Answer>) => async (request: FastifyRequest) => {
    const account = await request.flows.readProfile(request.principal.accountId)
    const { id } = request.params as { id: string }
    if (id !== String(request.flows.drfId(account)) && id !== account.id) throw new Failure(404, detail('Not found.'))
    return await run(request)
  }
  addEndpoint(app, {
    ...self,
    // Neither a number nor a UUID: the names of djoser's routes that are not served here.
    url: '/auth/users/:id(^(?:\\d+|[0-9a-f-]{36})$)/',
    methods: { GET: ifSelf(self.methods.GET), PUT: ifSelf(change), PATCH: ifSelf(change), DELETE: ifSelf(remove) }
  })

  addEndpoint(app, {
    url: '/auth/users/set_password/',
    name: 'User Set Password',
    fields: { new_password: text('New password'), current_password: text('Current password') },
    access: own,
    methods: {
      async POST(request) {
        const { principal, body } = request
        const read = readFields(body, { new_password: {}, current_password: {} })
        await app.rateLimits.signIn(request)
        try {
          await request.flows.changePassword(principal, read.current_password!, read.new_password!)
        } catch (error) {
          throw refused(error, read.new_password!, { username: 'username', password: 'new_password' })
        }
        return noContent
      }
    }
  })

  addEndpoint(app, {
    url: '/auth/users/set_username/',
    name: 'User Set Username',
    fields: { current_password: text('Current password'), new_username: text('Username') },
    access: own,
    methods: {
      async POST(request) {
        const { principal, body } = request
        const read = readFields(body, { current_password: {}, new_username: username })
        await app.rateLimits.signIn(request)
        try {
          await request.flows.confirmOwnPassword(principal.accountId, read.current_password!)
          await request.flows.changeProfile(principal.accountId, { username: read.new_username! })
        } catch (error) {
          throw refused(error, '', { username: 'new_username', password: 'password' })
        }
        return noContent
      }
    }
  })

  addEndpoint(app, {
    url: '/auth/token/logout/',
    name: 'Token Destroy',
    description: 'Use this endpoint to logout user (remove user authentication token).',
    access: own,
    methods: {
      async POST({ principal, flows }) {
        await flows.deleteApiTokens(principal.accountId, 'authtoken')
        return noContent
      }
    }
  })
}

export const drfUserRoutes = fp(routes, {
  name: 'routes/drf/users',
  dependencies: ['flows', 'guard', 'drf', 'rate-limits'],
  encapsulate: true,
  fastify: '5.x'
})
