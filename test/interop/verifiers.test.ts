import t, { type Test } from 'tap'
import type { SigningAlgorithm } from '../../src/domain/key-ring.js'
import { joseAlgorithm } from '../../src/domain/key-ring.js'
import { algorithms } from '../support/forge.js'
import { specimens } from '../support/interop.js'
import { freePort } from '../support/service.js'
import { ask, here, type Jose, verifiers } from '../support/verifiers.js'
import { world } from '../support/world.js'

/**
 * Other people's libraries, told nothing but the issuer and the audience, judge our tokens as we do: those that are here
 * without installing anything. `npm run interop` asks all of them, and more.
 */
const present = verifiers.filter(({ from, isOurs }) => from === 'Debian 12' || isOurs)

/** A service that listens where its issuer says. */
async function service(t: Test, algorithm: SigningAlgorithm, host = 'localhost') {
  const port = await freePort()
  const issuer = `http://${host}:${port}`
  const w = await world(t, (options) => ({
    ...options,
    issuer,
    signing: { ...options.signing, algorithm },
    clock: () => new Date()
  }))
  await w.app.listen({ port, host })
  return { issuer, w, ...(await specimens(w)) }
}

const subOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()).sub as string

for (const algorithm of algorithms) {
  t.test(`tokens signed with ${algorithm}`, async (t) => {
    const { issuer, w, good, bad, otherType } = await service(t, algorithm)
    const alg = joseAlgorithm(algorithm) as Jose
    for (const verifier of present) {
      if (!verifier.algorithms.includes(alg)) continue
      const { name, types, peculiarities = {} } = verifier
      const title = `${algorithm}: ${name} finds the key by itself, accepts the good and refuses the bad`
      await t.test(title, { skip: verifier.missing() }, async (t) => {
        const judge = ask(t, verifier, here, issuer, alg)
        for (const { title, token } of good)
          t.same(await judge(token), { sub: subOf(token) }, `${name} accepts one ${title}`)
        for (const { title, token } of types === 'no' ? bad : [...bad, ...otherType]) {
          const said = await judge(token)
          t.ok('refused' in said || title in peculiarities, `${name} refuses one ${title}: ${JSON.stringify(said)}`)
        }
      })
    }
    for (const { title, token } of [...bad, ...otherType]) {
      t.equal((await w.get('/v1/me', token)).statusCode, 401, `and so do we: ${title}`)
    }
  })
}

t.test('a verifier that is told another issuer than the metadata and the tokens say accepts nothing', async (t) => {
  const { issuer, good } = await service(t, 'ES256', '127.0.0.1')
  for (const verifier of present) {
    if (verifier.missing()) continue
    // The same service, written another way: what it says of itself does not change.
    const judge = ask(t, verifier, here, issuer.replace('127.0.0.1', 'localhost'), 'ES256')
    for (const { token } of good) t.ok('refused' in (await judge(token)), verifier.name)
  }
})
