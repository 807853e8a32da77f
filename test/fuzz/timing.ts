import t from 'tap'
import { goodPassword, type World, world } from '../support/world.js'

/** How long sign-ins take, by the clock; by `npm run fuzz`, since a clock is no judge on a machine that does other things. */

const samples = Number(process.env.TIMING_SAMPLES ?? 300)
/** A z that chance exceeds once in some millions of runs. */
const bound = 5

/** Mann-Whitney’s U of two samples, as the z of its normal form: how far apart they are, with no word on how they are spread. */
function rankDifference(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map((value) => ({ value, isA: true })), ...b.map((value) => ({ value, isA: false }))]
  all.sort((one, other) => one.value - other.value)
  let rankSum = 0
  for (let at = 0; at < all.length; ) {
    let end = at
    while (end < all.length && all[end]!.value === all[at]!.value) end++
    const rank = (at + 1 + end) / 2
    for (; at < end; at++) if (all[at]!.isA) rankSum += rank
  }
  const u = rankSum - (a.length * (a.length + 1)) / 2
  const mean = (a.length * b.length) / 2
  return (u - mean) / Math.sqrt((a.length * b.length * (a.length + b.length + 1)) / 12)
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!

/** Milliseconds of sign-ins that fail, of each kind, one after the other and round and round. */
async function measure(w: World, names: Readonly<Record<string, string>>): Promise<Record<string, number[]>> {
  const times: Record<string, number[]> = Object.fromEntries(Object.keys(names).map((kind) => [kind, []]))
  const kinds = Object.keys(names)
  for (let round = -10; round < samples; round++) {
    // Another order each time, so that nobody always comes after the same one.
    for (let at = 0; at < kinds.length; at++) {
      const kind = kinds[(at * 3 + (round + 10)) % kinds.length]!
      const started = performance.now()
      const response = await w.post('/v1/login', { username: names[kind], password: 'wrong horse battery' })
      const took = performance.now() - started
      if (response.statusCode !== 401) throw new Error(response.body)
      if (round >= 0) times[kind]!.push(took)
    }
  }
  return times
}

t.test('by the clock, an account that is there, one that is disabled and none at all are the same', async (t) => {
  const w = await world(t, (options) => ({
    ...options,
    // As a production hashes.
    passwords: { ...options.passwords, memory: 19_456, iterations: 2 },
    flows: { ...options.flows, guessing: { free: 1_000_000, max: 2_000_000 } }
  }))
  const person = async (name: string) =>
    (await w.app.flows.createAccount({ username: name, password: goodPassword })).id
  await person('known')
  await w.app.flows.disableUser(await person('disabled'))
  const names = { known: 'known', again: 'known', unknown: 'nobody', disabled: 'disabled' }

  const told = (times: Record<string, number[]>) =>
    Object.entries(times).map(([kind, values]) => {
      const z = rankDifference(values, times.known!)
      t.comment(`${kind}: median ${median(values).toFixed(2)} ms, z ${z.toFixed(2)} against known`)
      return [kind, Math.abs(z)] as const
    })
  for (const [kind, z] of told(await measure(w, names))) t.ok(z < bound, `${kind} is as known, z ${z.toFixed(2)}`)

  // The same measurement without the hash for nobody, which it has to find.
  const { passwords } = w.app as unknown as { passwords: { verifyNothing: () => Promise<false> } }
  const { verifyNothing } = passwords
  passwords.verifyNothing = async () => false
  t.comment('without the hash that is checked for nobody:')
  const without = new Map(told(await measure(w, names)))
  passwords.verifyNothing = verifyNothing
  t.ok(without.get('unknown')! > 2 * bound, 'and it tells them apart where nobody costs no hash')
})
