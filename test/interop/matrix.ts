import { writeFileSync } from 'node:fs'
import http from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { joseAlgorithm, type SigningAlgorithm } from '../../src/domain/key-ring.js'
import { algorithms } from '../support/forge.js'
import { type Specimens, specimens } from '../support/interop.js'
import { freePort, scratchFolder } from '../support/service.js'
import { ask, install, type Jose, type Saying, type Verifier, verifiers } from '../support/verifiers.js'
import { type World, world } from '../support/world.js'

/**
 * `npm run interop`: every verifier, those of registries too, with good and bad tokens of every algorithm, during a rotation
 * and with the key set down. Writes docs/interop.md, and fails where one accepts what nobody may, but for what is known of it.
 */

interface Issuer extends Specimens {
  readonly issuer: string
  readonly w: World
  /** Whether the key set answers. */
  isUp: boolean
  /** How often the key set was asked for. */
  fetches: number
  /** Milliseconds by which the service's clock is behind this machine's. */
  behind: number
}

const minute = 60_000
/** So long before its turn a key is published, and a little more. */
const ahead = 12 * minute

/** A service whose metadata and keys can be taken away, and counted. */
async function makeIssuer(t: Test, algorithm: SigningAlgorithm, behind = 0): Promise<Issuer> {
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const self = { issuer, isUp: true, fetches: 0, behind } as Issuer & { w: World }
  const w = await world(t, (options) => ({
    ...options,
    issuer,
    // A token lives on while the service's clock is moved from one key's turn to the next.
    flows: { ...options.flows, lifetimes: { ...options.flows.lifetimes, access: 60 * minute } },
    signing: { ...options.signing, algorithm, pollInterval: 20 },
    clock: () => new Date(Date.now() - self.behind)
  }))
  const server = http.createServer(async (request, response) => {
    if (!self.isUp) return void request.socket.destroy()
    if (request.url === '/.well-known/jwks.json') self.fetches++
    const answer = await w.app.inject({ method: 'GET', url: request.url! })
    response.writeHead(answer.statusCode, answer.headers as http.OutgoingHttpHeaders).end(answer.rawPayload)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return Object.assign(self, { w }, await specimens(w))
}

const accepts = (said: Saying) => 'sub' in said
const subOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()).sub as string
const signedIn = async ({ w }: Issuer) => (await w.login(await w.account())).access_token

interface Row {
  readonly verifier: Verifier
  readonly skipped?: string
  readonly algorithms: Set<Jose>
  /** Titles of bad tokens that it accepted. */
  readonly accepted: Set<string>
  /** Titles of tokens of another type that it accepted. */
  readonly types: Set<string>
  fetches?: number
  planned?: boolean
  sudden?: boolean
  warm?: boolean
  cold?: boolean
  back?: boolean
}

/** One algorithm: what is good and known to it, and what is bad. */
async function judgeAll(t: Test, row: Row, installed: string, issuer: Issuer, alg: Jose): Promise<void> {
  const { verifier } = row
  const judge = ask(t, verifier, installed, issuer.issuer, alg)
  const isSupported = verifier.algorithms.includes(alg)
  for (const { title, token } of issuer.good) {
    const said = await judge(token)
    t.equal(accepts(said), isSupported, `${alg}, one ${title}: ${JSON.stringify(said)}`)
    if (accepts(said)) row.algorithms.add(alg)
    if ('sub' in said) t.equal(said.sub, subOf(token))
  }
  for (const { title, token } of issuer.bad) {
    const said = await judge(token)
    if (accepts(said)) row.accepted.add(title)
    t.ok(
      !accepts(said) || title in (verifier.peculiarities ?? {}),
      `${alg}, refuses one ${title}: ${JSON.stringify(said)}`
    )
  }
  for (const { title, token } of issuer.otherType) {
    const said = await judge(token)
    if (accepts(said)) row.types.add(title)
    t.ok(!accepts(said) || verifier.types === 'no', `${alg}, looks at types as it is known to, one ${title}`)
  }
  if (!isSupported || row.fetches !== undefined) return
  const before = issuer.fetches
  for (let n = 0; n < 20; n++) t.notOk(accepts(await judge(issuer.unknown().token)), 'a key that nobody knows')
  row.fetches = issuer.fetches - before
}

/** A rotation by the rules: whoever fetched the key set since the next key was published goes on through its turn. */
async function judgeRotation(
  t: Test,
  row: Row,
  installed: string,
  alg: Jose,
  algorithm: SigningAlgorithm
): Promise<void> {
  const issuer = await makeIssuer(t, algorithm, ahead)
  const before = await signedIn(issuer)
  await issuer.w.app.keys.rotate()
  const judge = ask(t, row.verifier, installed, issuer.issuer, alg)
  const first = accepts(await judge(before))
  issuer.behind = 0
  const after = await signedIn(issuer)
  t.not(before.split('.')[0], after.split('.')[0], 'another key signs')
  row.planned = first && accepts(await judge(after)) && accepts(await judge(before))
  t.ok(row.planned, 'nobody is refused in a planned rotation')
}

/** A key that nobody could know of before it signs: an emergency. */
async function judgeSuddenKey(
  t: Test,
  row: Row,
  installed: string,
  alg: Jose,
  algorithm: SigningAlgorithm
): Promise<void> {
  const issuer = await makeIssuer(t, algorithm)
  const judge = ask(t, row.verifier, installed, issuer.issuer, alg)
  t.ok(accepts(await judge(issuer.good[0]!.token)))
  await issuer.w.app.keys.rotateInEmergency('of a test')
  row.sudden = accepts(await judge(await signedIn(issuer)))
}

async function judgeOutage(
  t: Test,
  row: Row,
  installed: string,
  alg: Jose,
  algorithm: SigningAlgorithm
): Promise<void> {
  const issuer = await makeIssuer(t, algorithm)
  const { token } = issuer.good[0]!
  const warm = ask(t, row.verifier, installed, issuer.issuer, alg)
  t.ok(accepts(await warm(token)))
  issuer.isUp = false
  row.warm = accepts(await warm(token))
  for (const { title, token } of issuer.bad) {
    const said = await warm(token)
    t.ok(!accepts(said) || title in (row.verifier.peculiarities ?? {}), `down, refuses one ${title}`)
  }
  const cold = ask(t, row.verifier, installed, issuer.issuer, alg)
  row.cold = accepts(await cold(token))
  t.notOk(row.cold, 'without any key nothing is accepted')
  issuer.isUp = true
  row.back = accepts(await cold(token))
}

const rows: Row[] = []
const folder = scratchFolder(t)
/** A part of a name, to try one verifier: then there is no table. */
const only = process.env.INTEROP_ONLY ?? ''
const asked = verifiers.filter(({ name }) => name.includes(only))

/** One service for each algorithm, for all that nobody changes. */
const issuers = new Map<SigningAlgorithm, Issuer>()
for (const algorithm of algorithms) issuers.set(algorithm, await makeIssuer(t, algorithm))

const folderOf = (verifier: Verifier) => join(folder, String(verifiers.indexOf(verifier)))
const begin = (verifier: Verifier | undefined) => verifier && install(verifier, folderOf(verifier))
let next = begin(asked[0])

for (const [n, verifier] of asked.entries()) {
  await t.test(verifier.name, async (t) => {
    const installed = folderOf(verifier)
    const skipped = (await next)!
    // The one that is next is installed while this one is asked.
    next = begin(asked[n + 1])
    const row: Row = {
      verifier,
      algorithms: new Set(),
      accepted: new Set(),
      types: new Set(),
      ...(skipped && { skipped })
    }
    rows.push(row)
    if (skipped) return void t.pass(verifier.name, { skip: skipped })
    for (const algorithm of algorithms) {
      const alg = joseAlgorithm(algorithm) as Jose
      await t.test(algorithm, async (t) => judgeAll(t, row, installed, issuers.get(algorithm)!, alg))
    }
    const algorithm = algorithms.find((one) => verifier.algorithms.includes(joseAlgorithm(one) as Jose))
    if (algorithm === undefined) return
    const alg = joseAlgorithm(algorithm) as Jose
    await t.test('during a rotation', async (t) => judgeRotation(t, row, installed, alg, algorithm))
    await t.test('a key that comes at once', async (t) => judgeSuddenKey(t, row, installed, alg, algorithm))
    await t.test('with the key set down', async (t) => judgeOutage(t, row, installed, alg, algorithm))
  })
}

const when = (isAtOnce: boolean | undefined) => (isAtOnce ? 'at once' : 'later')
const mark = (is: boolean | undefined) => (is ? 'yes' : '**no**')
const typesOf = ({ verifier, types }: Row) =>
  types.size === 0 ? `refused${verifier.types === 'always' ? '' : `, ${verifier.types}`}` : 'accepted'

function table(): string {
  const lines = rows.map((row) => {
    const { verifier } = row
    const name = [
      verifier.packages?.join(' + ') ?? verifier.name,
      verifier.name.endsWith('(strict)') ? ' `strict`' : ''
    ].join('')
    const signed = (['ES256', 'EdDSA', 'RS256', 'PS256'] as const).map((alg) => mark(row.algorithms.has(alg)))
    const { fetches, planned, sudden, warm, back } = row
    const seen =
      planned === undefined ? ['', '', '', '', ''] : [fetches, mark(planned), when(sudden), mark(warm), when(back)]
    return `| ${[name, ...signed, typesOf(row), ...seen].join(' | ')} |`
  })
  return [
    '| verifier | ES256 | EdDSA | RS256 | PS256 | another `typ` | fetches | rotation | sudden key | key set down | back |',
    '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |',
    ...lines
  ].join('\n')
}

function notes(): string {
  return rows
    .flatMap(({ verifier: { name, note } }) => (note === undefined ? [] : [`- **${name}**: ${note}`]))
    .join('\n')
}

function peculiarities(): string {
  const known = rows.flatMap(({ verifier, accepted }) =>
    [...accepted].map(
      (title) => `- ${verifier.name} accepts one ${title}: ${verifier.peculiarities?.[title] ?? '**not known before**'}`
    )
  )
  return known.length === 0 ? 'None of them accepted any.' : known.join('\n')
}

const absent = rows.flatMap(({ skipped }) => skipped ?? [])
const incomplete =
  only !== '' ? 'INTEROP_ONLY is set' : absent.length > 0 && `docs/interop.md stays as it was: ${absent.join('; ')}`

t.test('the table', { skip: incomplete }, async (t) => {
  const bad = [...new Set(issuers.get('ES256')!.bad.map(({ title }) => title))]
  writeFileSync(
    new URL('../../docs/interop.md', import.meta.url),
    `# Other people's verifiers

Made by \`npm run interop\`: libraries of others, told the issuer and the audience, judge tokens of a running service. The programs
are in [test/interop/verifiers](../test/interop/verifiers). The run fails where one refuses what it is known to accept, or accepts
what nobody may.

${table()}

- **ES256 … PS256**: whether it accepts tokens of \`AUTH_SIGNING_ALGORITHM\`; Ed25519 is \`EdDSA\` here.
- **another \`typ\`**: what it says of a document by the right key that is no access token: \`typ\` of \`JWT\`, of another
  document, or none. Where it is accepted, nothing else may be signed for the same audience; Keyturn signs other documents for
  audiences of their own.
- **fetches**: of the key set, for 20 tokens by keys that nobody knows.
- **rotation**: whether a planned one refuses nobody, before and after the turn.
- **sudden key**: when a key is accepted that nobody could know of (\`keyturn keys rotate --emergency\`): at once, or once the
  verifier asks again.
- **key set down**: whether a verifier that has the keys goes on. One that never had them accepts nothing (all of them), and
  **back** says when it accepts again.

${notes()}

## What all of them refuse

${bad.map((title) => `- ${title}`).join('\n')}

${peculiarities()}
`
  )
  t.ok(rows.length > 0)
})
