import type { TokenReason, TokenVerdict } from '../plugins/access-tokens.js'
import { accountOf, type Command, lifetime, table, UsageError } from './command.js'

/** Why a token is refused, in words. */
const explanations: Record<TokenReason, string> = {
  too_long: 'It is longer than 8 KiB. No token of this service is.',
  not_a_compact_jws:
    'It is not three parts with dots between. A refresh token, an encrypted token and a cut one look like that.',
  not_canonical:
    'A part is not base64url in its canonical form: something was added or changed on the way (a space, a line break, "=").',
  header_unreadable: 'Its header is not JSON.',
  header_member_unknown: 'Its header asks for something besides alg, kid and typ. This service never does.',
  type_wrong: 'Its typ is not at+jwt: it is another kind of token (an ID token, say).',
  algorithm_refused: 'Its alg is none, symmetric or unknown. Only ES256, EdDSA, RS256 and PS256 are accepted.',
  key_id_missing: 'It has no kid, so nobody knows which key signed it.',
  key_unknown: 'No key with its kid is published here: the key is gone, or another service signed it.',
  algorithm_not_the_keys: 'Its alg is not the one of the key that it names.',
  signature_wrong: 'Its signature is wrong: it was changed, or somebody else signed it under the name of our key.',
  payload_not_an_object: 'Its payload is not an object.',
  claim_missing_or_malformed: 'A required claim is missing or of the wrong type.',
  issuer_wrong: 'It was issued by another service than AUTH_ISSUER says.',
  audience_wrong: 'It is meant for other services than AUTH_AUDIENCE names.',
  expired: 'It has expired.',
  not_yet_valid: 'It is not valid yet: the clock of who issued it is ahead of this one.'
}

function explain(verdict: TokenVerdict, now: Date): string {
  if (verdict.ok) {
    const left = verdict.claims.exp - Math.floor(now.getTime() / 1000)
    return `Good: signed by a published key, for another ${left} s. Whether its session is over is not looked at here.`
  }
  const claims = (verdict.claims ?? {}) as Record<string, unknown>
  const ago = Math.floor(now.getTime() / 1000) - Number(claims.exp)
  const detail =
    verdict.because === 'expired'
      ? ` ${ago} s ago.`
      : verdict.claim === undefined
        ? ''
        : ` The claim is ${verdict.claim}: ${JSON.stringify(claims[verdict.claim])}.`
  return `Refused. ${explanations[verdict.because]}${detail}`
}

/** Tokens, for people who look for what is wrong. */
export const tokenCommands: Record<string, Command> = {
  'token mint': {
    usage: 'token mint <username, email or id> [--ttl 5m]',
    summary: 'Begin a session of an account and print one access token of it. The session ends with the token.',
    options: { ttl: { type: 'string', help: 'Life of the token and its session; 5m by default.' } },
    async run(call) {
      const [name] = call.positionals
      if (name === undefined) throw new UsageError('Name one user.')
      const life = lifetime(String(call.options.ttl ?? '5m'))
      const minted = await call.withApp(async (app) => app.flows.mintToken((await accountOf(app, name)).id, life))
      return {
        text: minted.accessToken,
        json: { access_token: minted.accessToken, token_type: 'Bearer', expires_in: minted.expiresIn }
      }
    }
  },
  'token inspect': {
    usage: 'token inspect < token',
    summary:
      'Explain a token, read from standard input: what it says, and why it is refused. Exits with 1 where it is.',
    async run(call) {
      const token = (await call.io.secret('Token: ')).trim()
      const verdict = await call.withApp((app) => app.accessTokens.judge(token))
      const claims = (verdict.claims ?? {}) as Record<string, unknown>
      const instants = new Set(['exp', 'iat', 'nbf', 'auth_time'])
      const rows = Object.entries(claims).map(([claim, value]) => [
        claim,
        instants.has(claim) ? `${value} (${new Date(Number(value) * 1000).toISOString()})` : JSON.stringify(value)
      ])
      const text = explain(verdict, new Date())
      return {
        text: rows.length === 0 ? text : `${text}\n\n${table(['CLAIM', 'VALUE'], rows)}`,
        json: { ok: verdict.ok, ...(verdict.ok ? {} : { because: verdict.because }), explanation: text, claims },
        exitCode: verdict.ok ? 0 : 1
      }
    }
  }
}
