import type { Proof } from '../domain/dpop-proof.js'
import { emailKey, usernameKey } from '../domain/identity.js'
import { passwordScheme } from '../domain/legacy-password.js'
import { Refusal } from '../domain/refusal.js'
import { earlier, later, type RefreshTransport } from '../domain/session.js'
import { uuidFromBytes } from '../domain/uuid.js'
import * as accounts from '../storage/accounts.js'
import * as endings from '../storage/endings.js'
import * as sessions from '../storage/sessions.js'
import { note } from './audit.js'
import { type Client, ending, type Tools } from './flow.js'
import { findSigningIn, guess, isKnownDevice, settleGuess } from './guessing.js'
import { spendProof } from './proof.js'
import { admitSignIn, countSignIn } from './stuffing.js'
import { type IssuedTokens, issueTokens } from './tokens.js'

export interface Credentials {
  readonly username?: string | undefined
  readonly email?: string | undefined
  readonly password: string
  /** The cookie of the device, where it has one. */
  readonly device?: string | undefined
}

/**
 * Begins a session with a password. An unknown name, a wrong password and a disabled account get the same answer for
 * the same work, so that neither words nor time tell who has an account.
 *
 * With a proof the session is bound to its key for good. It is spent once the password was right.
 */
export async function login(
  tools: Tools,
  credentials: Credentials,
  transport: RefreshTransport,
  client: Client,
  proof: Proof | null = null
): Promise<IssuedTokens> {
  const { account, guesser } = await admitPassword(tools, credentials, client.address)
  if (proof !== null) await spendProof(tools, proof)
  const now = tools.clock()
  const lifetime = tools.settings.lifetimes.session
  const sitting = {
    transport,
    amr: ['pwd'],
    acr: 'aal1',
    jkt: proof?.jkt ?? null,
    lifetime,
    userAgent: client.userAgent,
    address: client.address
  }
  const draft = draftSession(tools, account.id, sitting, now)
  const begun = await beginWithinLimit(tools, draft, { passwordHash: account.passwordHash, guesser })
  if (begun === undefined) throw failed(tools, account.id, 'password')
  const isNew = !begun.isFamiliar && !isKnownDevice(tools, account.id, credentials.device)
  note(tools, 'login.succeeded', {
    account: account.id,
    session: begun.session.id,
    client: begun.session.clientId,
    amr: begun.session.amr,
    new_device: isNew
  })
  return await issueTokens(tools, begun, now)
}

/** Begins a session, and ends the oldest ones where the account has more of them than it may. */
async function beginWithinLimit(
  tools: Tools,
  draft: sessions.NewSession,
  admission: sessions.Admission
): Promise<sessions.BegunSession | undefined> {
  const { sessionsPerAccount: limit } = tools.settings
  if (limit === null) return await sessions.begin(tools.db, draft, admission)
  const { begun, ended } = await tools.db.transaction().execute(async (trx) => {
    const begun = await sessions.begin(trx, draft, admission)
    if (begun === undefined) return { begun, ended: 0 }
    return {
      begun,
      ended: await endings.endOldest(trx, draft, limit, ending(tools, 'session_limit', draft.createdAt))
    }
  })
  if (ended > 0)
    tools.log('session.ended_oldest', { account: draft.accountId, because: 'session_limit', sessions: ended })
  return begun
}

/** Begins a session for whoever runs the service, as short as its one access token. */
export async function mintToken(tools: Tools, accountId: string, lifetime: number): Promise<IssuedTokens> {
  const account = await accounts.find(tools.db, accountId)
  const now = tools.clock()
  const sitting = {
    transport: 'body',
    amr: [],
    acr: 'aal0',
    jkt: null,
    lifetime,
    userAgent: 'keyturn token mint',
    address: null
  } as const
  const draft = draftSession(tools, accountId, sitting, now)
  const begun =
    account && (await sessions.begin(tools.db, draft, { passwordHash: account.passwordHash, guesser: null }))
  if (begun === undefined) throw new Refusal('account_disabled')
  note(tools, 'token.minted', { account: accountId, session: begun.session.id })
  return await issueTokens(tools, begun, now)
}

interface Sitting extends Client {
  readonly transport: RefreshTransport
  readonly amr: readonly string[]
  readonly acr: string
  readonly jkt: string | null
  /** Milliseconds until the session's absolute end. */
  readonly lifetime: number
}

function draftSession(tools: Tools, accountId: string, sitting: Sitting, now: Date): sessions.NewSession {
  const expiresAt = later(now, sitting.lifetime)
  return {
    id: uuidFromBytes(tools.idEntropy(16)),
    accountId,
    transport: sitting.transport,
    amr: sitting.amr,
    acr: sitting.acr,
    jkt: sitting.jkt,
    userAgent: sitting.userAgent,
    address: sitting.address,
    clientId: tools.settings.clientId,
    scope: '',
    hasStatus: tools.settings.statusList,
    createdAt: now,
    idleExpiresAt: earlier(later(now, tools.settings.lifetimes.refreshIdle), expiresAt),
    expiresAt
  }
}

/**
 * Whose credentials these are. Throws `invalid_credentials`, whatever is wrong, after the same work; where too many were
 * wrong, `sign_in_delayed` or `sign_in_locked` after none, and `rate_limited` out of a range that tries those of many; where
 * too many others wait, `overloaded` before anything.
 */
export async function checkPassword(
  tools: Tools,
  credentials: Credentials,
  address: string | null
): Promise<accounts.AccountWithPassword> {
  const { account, guesser } = await admitPassword(tools, credentials, address)
  if (!(await settleGuess(tools, guesser))) throw failed(tools, account.id, 'password')
  return account
}

/** Somebody whose password is right, unless others guessed at once. */
interface Admitted {
  readonly account: accounts.AccountWithPassword
  /** Whose failures are still to be settled, by `settleGuess` or by what begins a session. */
  readonly guesser: string
}

async function admitPassword(tools: Tools, credentials: Credentials, address: string | null): Promise<Admitted> {
  const { username, email } = credentials
  if ((username === undefined) === (email === undefined)) {
    const detail = 'Send either "username" or "email".'
    throw new Refusal('validation_failed', { errors: [{ pointer: '/username', code: 'one_of', detail }] })
  }
  const name = email === undefined ? { usernameKey: usernameKey(username!) } : { emailKey: emailKey(email) }
  return await tools.passwords.admit(() => admitPasswordOf(tools, name, credentials, address))
}

async function admitPasswordOf(
  tools: Tools,
  name: { readonly usernameKey: string } | { readonly emailKey: string },
  credentials: Credentials,
  address: string | null
): Promise<Admitted> {
  const signingIn = await findSigningIn(tools, name, credentials.device)
  const { account } = signingIn
  const isKnownDevice = account !== undefined && signingIn.who !== account.id
  admitSignIn(tools, address, isKnownDevice)
  const right = await guess(tools, signingIn, async () =>
    account?.passwordHash == null
      ? await tools.passwords.verifyNothing(credentials.password)
      : await tools.passwords.verify(account.passwordHash, credentials.password)
  )
  const because =
    account === undefined ? 'unknown' : !right ? 'password' : account.disabledAt !== null ? 'disabled' : undefined
  countSignIn(tools, address, account?.id ?? signingIn.who, because === undefined)
  // For the same work as a wrong one.
  if (because === 'disabled') await settleGuess(tools, signingIn.who)
  if (account === undefined || because !== undefined) throw failed(tools, account?.id, because ?? 'unknown')
  return { account: await upgrade(tools, account, credentials.password), guesser: signingIn.who }
}

function failed(tools: Tools, account: string | undefined, because: 'unknown' | 'password' | 'disabled'): Refusal {
  note(tools, 'login.failed', { account, because })
  return new Refusal('invalid_credentials', { because })
}

/**
 * Settings rise over the years, and accounts move over from other systems; the one moment when a hash can follow is a
 * right password. It is done where it can be: a sign-in that was right never fails because of it.
 */
async function upgrade(
  tools: Tools,
  account: accounts.AccountWithPassword,
  password: string
): Promise<accounts.AccountWithPassword> {
  const from = account.passwordHash!
  if (!tools.passwords.needsRehash(from)) return account
  const scheme = passwordScheme(from)
  let to: string
  try {
    to = await tools.passwords.hash(password)
  } catch (error) {
    tools.log('password.upgrade_postponed', { account: account.id, scheme, because: (error as Error).message })
    return account
  }
  if (await accounts.changePasswordHash(tools.db, account.id, { from, to })) {
    note(tools, 'password.upgraded', { account: account.id, scheme })
    return { ...account, passwordHash: to }
  }
  // Another sign-in of the account may have been first with the same password; a new password is another matter.
  const current = await accounts.find(tools.db, account.id)
  const isStillRight = current?.passwordHash != null && (await tools.passwords.verify(current.passwordHash, password))
  return isStillRight ? current : account
}
