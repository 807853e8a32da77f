import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { DrfError, detail, nonField, readFields, tokenErrors } from '../../domain/drf.js'
import { signInNameMaxLength } from '../../domain/identity.js'
import { passwordMaxLength } from '../../domain/password-policy.js'
import { Refusal } from '../../domain/refusal.js'
import type { IssuedTokens } from '../../flows/tokens.js'
import { type Answer, addEndpoint, door, ok, open, text } from './endpoint.js'

export interface DrfTokensOptions {
  /** simplejwt's ROTATE_REFRESH_TOKENS. */
  readonly rotate: boolean
}

const credentials = { username: {}, password: {} } as const

const refreshWords =
  'Takes a refresh type JSON web token and returns an access type JSON web\ntoken if the refresh token is valid.'
const verifyWords =
  'Takes a token and indicates if it is valid.  This view provides no\n' +
  "information about a token's fitness for a particular use."

/** Tokens for a username and password, and for each other: authtoken's view, simplejwt's and djoser's. */
const routes: FastifyPluginAsync<DrfTokensOptions> = async (app, { rotate }) => {
  /** Runs a sign-in; says `refused` where the credentials are wrong. */
  async function signingIn<T>(
    request: FastifyRequest,
    { username, password }: { username: string | undefined; password: string | undefined },
    refused: DrfError,
    signIn: (credentials: { username: string; password: string }) => Promise<T>
  ): Promise<T> {
    // What nobody can have costs no hash.
    if (username === undefined || password === undefined) throw refused
    if (username.length > signInNameMaxLength || password.length > passwordMaxLength || password === '') throw refused
    await app.rateLimits.signIn(request)
    try {
      return await signIn({ username, password })
    } catch (error) {
      if (error instanceof Refusal && error.code === 'invalid_credentials') throw refused
      throw error
    }
  }

  const wrong = nonField('Unable to log in with provided credentials.')
  const authtoken = (request: FastifyRequest, read: { username: string | undefined; password: string | undefined }) =>
    signingIn(request, read, wrong, (given) => request.flows.signInForAuthtoken(given, request.caller.address))

  addEndpoint(app, {
    url: '/api-token-auth/',
    name: 'Obtain Auth Token',
    parses: ['application/x-www-form-urlencoded', 'multipart/form-data', 'application/json'],
    fields: { username: text('Username'), password: text('Password'), token: text('Token', false, true) },
    access: door,
    methods: {
      async POST(request) {
        const read = readFields(request.body, { username: {}, password: { trim: false } })
        return ok({ token: await authtoken(request, read) })
      }
    }
  })

  addEndpoint(app, {
    url: '/auth/token/login/',
    name: 'Token Create',
    description: 'Use this endpoint to obtain user authentication token.',
    fields: { password: text('Password', false), username: text('Username', false) },
    access: door,
    methods: {
      async POST(request) {
        const read = readFields(request.body, { password: { required: false }, username: { required: false } })
        return ok({ auth_token: await authtoken(request, read) })
      }
    }
  })

  const noAccount = new DrfError(401, detail('No active account found with the given credentials'))

  async function obtain(request: FastifyRequest): Promise<Answer> {
    const read = readFields(request.body, credentials)
    const issued = await signingIn(request, read, noAccount, (given) =>
      request.flows.login(given, 'body', request.caller)
    )
    return ok({ refresh: issued.refreshToken, access: issued.accessToken })
  }

  /** Whether a text is an access token of ours, good or expired. */
  async function isAccessToken(token: string): Promise<boolean> {
    const verdict = await app.accessTokens.judge(token)
    return verdict.ok || verdict.because === 'expired'
  }

  /** simplejwt's words for a refresh token that we refuse. */
  async function refused(error: unknown, token: string): Promise<unknown> {
    if (!(error instanceof Refusal)) return error
    switch (error.code) {
      case 'dpop_key_required':
        return tokenErrors.invalid
      case 'token_invalid':
        return (await isAccessToken(token)) ? tokenErrors.wrongType : tokenErrors.invalid
      case 'session_expired':
        return tokenErrors.expired
      case 'account_disabled':
        return tokenErrors.noAccount
      case 'refresh_reused':
        return tokenErrors.blacklisted
      case 'session_revoked':
        if (error.because === 'unknown' || error.because === 'account_disabled') return tokenErrors.noAccount
        return error.because === 'password_changed' ? tokenErrors.passwordChanged : tokenErrors.blacklisted
      default:
        return error
    }
  }

  async function refresh(request: FastifyRequest): Promise<Answer> {
    const { refresh: token = '' } = readFields(request.body, { refresh: {} })
    const { requester } = request
    await app.rateLimits.refresh(request)
    let issued: IssuedTokens
    try {
      issued = rotate
        ? await request.flows.refresh(token, 'body', null, { requester })
        : await request.flows.renew(token, requester)
    } catch (error) {
      throw await refused(error, token)
    }
    return ok({ access: issued.accessToken, ...(rotate ? { refresh: issued.refreshToken } : {}) })
  }

  async function verify(request: FastifyRequest): Promise<Answer> {
    const { token = '' } = readFields(request.body, { token: {} })
    const state = await request.flows.inspectRefresh(token)
    if (state === 'expired') throw tokenErrors.expired
    // Whoever asks means to rely on the answer: a token that is over is never valid, whatever is configured.
    if (state !== 'alive' && state !== 'unreadable') throw nonField('Token is blacklisted')
    if (state === 'alive') return ok({})
    const verdict = await app.accessTokens.judge(token)
    // Whoever asks sees no proof, so for them a token that is bound to a key is worth nothing.
    if (verdict.ok && verdict.claims.cnf !== undefined) throw tokenErrors.invalid
    if (!verdict.ok) throw verdict.because === 'expired' ? tokenErrors.expired : tokenErrors.invalid
    if ((await request.flows.inspectAccess(verdict.claims)).state !== 'alive') throw nonField('Token is blacklisted')
    return ok({})
  }

  async function blacklist(request: FastifyRequest): Promise<Answer> {
    const { refresh: token = '' } = readFields(request.body, { refresh: {} })
    const state = await request.flows.inspectRefresh(token)
    if (state === 'unreadable') throw (await isAccessToken(token)) ? tokenErrors.wrongType : tokenErrors.invalid
    if (state === 'expired') throw tokenErrors.expired
    if (state === 'ended' || state === 'unknown') throw tokenErrors.blacklisted
    await request.flows.logout(token)
    return ok({})
  }

  for (const [obtainUrl, refreshUrl, verifyUrl] of [
    ['/api/token/', '/api/token/refresh/', '/api/token/verify/'],
    ['/auth/jwt/create/', '/auth/jwt/refresh/', '/auth/jwt/verify/']
  ] as const) {
    addEndpoint(app, {
      url: obtainUrl,
      name: 'Token Obtain Pair',
      description:
        'Takes a set of user credentials and returns an access and refresh JSON web\n' +
        'token pair to prove the authentication of those credentials.',
      fields: { username: text('Username'), password: text('Password') },
      access: door,
      methods: { POST: obtain }
    })
    addEndpoint(app, {
      url: refreshUrl,
      name: 'Token Refresh',
      description: refreshWords,
      fields: { refresh: text('Refresh'), access: text('Access', false, true) },
      access: open,
      methods: { POST: refresh }
    })
    addEndpoint(app, {
      url: verifyUrl,
      name: 'Token Verify',
      description: verifyWords,
      fields: { token: text('Token') },
      access: open,
      methods: { POST: verify }
    })
  }

  addEndpoint(app, {
    url: '/api/token/blacklist/',
    name: 'Token Blacklist',
    description:
      'Takes a token and blacklists it. Must be used with the\n' +
      '`rest_framework_simplejwt.token_blacklist` app installed.',
    fields: { refresh: text('Refresh') },
    access: open,
    methods: { POST: blacklist }
  })
}

export const drfTokenRoutes = fp(routes, {
  name: 'routes/drf/tokens',
  dependencies: ['flows', 'guard', 'drf', 'rate-limits'],
  encapsulate: true,
  fastify: '5.x'
})
