import { readFileSync } from 'node:fs'
import type { RevokeVerdict } from '../flows/signing-keys.js'
import type { SealSurvey } from '../plugins/sealed-values.js'
import { type Call, type Command, one, table, UsageError } from './command.js'

const defaultReason = 'compromised'

function reasonOf(call: Call): string {
  const reason = String(call.options.reason ?? defaultReason).trim()
  if (reason.length < 1 || reason.length > 200) throw new UsageError('--reason has 1 to 200 characters.')
  return reason
}

/** What an emergency costs, for whoever is about to cause one. */
const consequences = `Every signing key ends now, and every access token with it. Sessions, refresh tokens, cookies and API tokens stay:
clients refresh, and nobody is signed out.

What those who verify tokens will see:
  this service           refuses the old tokens within a second, on every replica
  jose and what uses it  refuses new tokens for up to 30 s where it fetched the key set just before, then fetches it
  a key set kept for long (fastify-jwt-jwks: 7 days, CDNs, files) goes on trusting the old keys: restart or purge it
  whoever follows the revocations is told of the keys and of the tokens at once`

async function confirm(call: Call): Promise<void> {
  if (call.options.yes) return
  if (!call.io.isInteractive) throw new UsageError('Nobody is there to be asked. Add --yes to rotate in an emergency.')
  call.io.error(`${consequences}\n`)
  const answer = await call.io.ask('Type "emergency" to go on: ')
  if (answer.trim() !== 'emergency') throw new UsageError('Nothing was changed.')
}

const revokeSentences: Record<Exclude<RevokeVerdict, 'revoked'>, string> = {
  unknown: 'There is no such key. `keyturn keys list` has those that are published.',
  gone: 'This key is gone already.',
  signing: 'This key signs at present. `keyturn keys rotate --emergency` ends it, and makes another one sign.'
}

/** The file of the one word, or standard input. */
async function readKeyText(call: Call): Promise<string> {
  const [file, ...rest] = call.positionals
  if (rest.length > 0) throw new UsageError('Name one file, or none for standard input.')
  if (file !== undefined && file !== '-') {
    try {
      return readFileSync(file, 'utf8')
    } catch (error) {
      throw new UsageError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code}).`)
    }
  }
  if (call.io.isInteractive) throw new UsageError('Name a file, or send the key to standard input.')
  return await call.io.secret('')
}

/** What is left under master keys of before, in words. */
export function describeSeals({ current, previous, lost }: SealSurvey): string {
  const parts = [`${current} sealed under the present master key`]
  if (previous > 0) parts.push(`${previous} under one of AUTH_MASTER_KEY_PREVIOUS; run \`keyturn keys reseal\``)
  if (lost.length > 0) parts.push(`${lost.length} that no master key opens (${lost.join(', ')})`)
  return parts.join(', ')
}

/** Signing keys, and the master key that seals them. */
export const keyCommands: Record<string, Command> = {
  'keys list': {
    usage: 'keys list',
    summary: 'List the signing keys with their state.',
    async run(call) {
      const keys = await call.withApp(async (app) => {
        const states = app.keys.states()
        return app.keys.published().map((key) => ({
          kid: key.kid,
          algorithm: key.algorithm,
          state: states.get(key.kid)!,
          signs_from: key.signsFrom.toISOString(),
          gone_at: key.goneAt?.toISOString() ?? null,
          provider: key.privateHalf.provider
        }))
      })
      const rows = keys.map((key) => [
        key.kid,
        key.algorithm,
        key.state,
        key.signs_from,
        key.gone_at ?? '-',
        key.provider
      ])
      return { text: table(['KID', 'ALGORITHM', 'STATE', 'SIGNS FROM', 'GONE AT', 'KEPT BY'], rows), json: { keys } }
    }
  },
  'keys rotate': {
    usage: 'keys rotate [--emergency [--reason <text>] [--yes]]',
    summary: 'Make the next signing key. It is published at once, and signs when every verifier can know it.',
    options: {
      emergency: { type: 'boolean', help: 'End all keys and all access tokens now; the new key signs at once.' },
      reason: { type: 'string', help: `Why, for the log and the table of keys; "${defaultReason}" by default.` },
      yes: { type: 'boolean', help: 'Do not ask whether that is meant.' }
    },
    details: `With --emergency:\n${consequences}`,
    async run(call) {
      if (!call.options.emergency) {
        if (call.options.reason !== undefined || call.options.yes) {
          throw new UsageError('--reason and --yes belong to --emergency.')
        }
        const key = await call.withApp((app) => app.keys.rotate())
        return {
          text: `Key ${key.kid} (${key.algorithm}) is published and signs from ${key.signsFrom.toISOString()}.`,
          json: { kid: key.kid, algorithm: key.algorithm, signs_from: key.signsFrom }
        }
      }
      const reason = reasonOf(call)
      await confirm(call)
      const { key, revoked } = await call.withApp((app) => app.keys.rotateInEmergency(reason))
      return {
        text: [
          `Key ${key.kid} (${key.algorithm}) signs now.`,
          ...revoked.map((kid) => `Key ${kid} is gone.`),
          '',
          consequences
        ].join('\n'),
        json: { kid: key.kid, algorithm: key.algorithm, signs_from: key.signsFrom, revoked }
      }
    }
  },
  'keys revoke': {
    usage: 'keys revoke <kid> [--reason <text>]',
    summary: 'End one key that does not sign at present, and the tokens that it signed.',
    options: {
      reason: { type: 'string', help: `Why, for the log and the table of keys; "${defaultReason}" by default.` }
    },
    async run(call) {
      const kid = one(call, 'key')
      const reason = reasonOf(call)
      const verdict = await call.withApp((app) => app.keys.revoke(kid, reason))
      if (verdict === 'revoked') return { text: `Key ${kid} is gone.`, json: { kid, revoked: true } }
      return { text: revokeSentences[verdict], json: { kid, revoked: false, because: verdict }, exitCode: 1 }
    }
  },
  'keys import': {
    usage: 'keys import [<file>]',
    summary: 'Make a private key of elsewhere the next signing key, from a file or standard input.',
    details: `PEM (PKCS#8, SEC1, PKCS#1; not encrypted), a JWK, or a key set with one private key. The key must be of
AUTH_SIGNING_ALGORITHM: EC P-256, Ed25519, or RSA with 3072 bits or more. Its kid is its thumbprint (RFC 7638). Like any
next key it is published at once and signs when every verifier can know it.`,
    async run(call) {
      const text = await readKeyText(call)
      const { AUTH_SIGNING_ALGORITHM: algorithm, AUTH_KEY_PROVIDER: provider } = call.config().settings
      if (provider !== 'local') {
        throw new UsageError(
          `AUTH_KEY_PROVIDER is ${provider}, and an imported key is kept in Postgres: the next start would replace it.`
        )
      }
      const { readPrivateKey } = await import('../plugins/key-import.js')
      const key = await readPrivateKey(text, algorithm)
      const { verdict, found } = await call.withApp(async (app) => ({
        verdict: await app.keys.add(key),
        found: app.keys.find(key.kid)
      }))
      const { kid } = key
      if (verdict === 'added') {
        const from = found!.signsFrom.toISOString()
        return {
          text: `Key ${kid} (${algorithm}) is published and signs from ${from}.`,
          json: { kid, algorithm, signs_from: from }
        }
      }
      return {
        text:
          verdict === 'known' ? `Key ${kid} is here already.` : `Key ${kid} was revoked here, and does not come back.`,
        json: { kid, because: verdict },
        exitCode: 1
      }
    }
  },
  'keys export': {
    usage: 'keys export --public',
    summary: 'Print the key set that verifiers fetch.',
    options: { public: { type: 'boolean', help: 'The public halves. Private ones are never printed.' } },
    async run(call) {
      if (!call.options.public) throw new UsageError('Private halves are not exported. Add --public for the key set.')
      const keys = await call.withApp(async (app) => app.keys.published().map(({ publicJwk }) => publicJwk))
      return { text: JSON.stringify({ keys }, null, 2), json: { keys } }
    }
  },
  'keys reseal': {
    usage: 'keys reseal',
    summary: 'Seal everything under the present master key. Exits with 1 where something cannot be opened.',
    async run(call) {
      const { resealed, current, previous, lost } = await call.withApp((app) => app.sealedValues.reseal())
      return {
        text: `Resealed ${resealed}; now ${describeSeals({ current, previous, lost })}.`,
        json: { resealed, current, previous, lost },
        exitCode: previous + lost.length > 0 ? 1 : 0
      }
    }
  }
}
