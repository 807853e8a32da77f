import { rangeOf } from '../domain/address-range.js'
import { Refusal } from '../domain/refusal.js'
import { heldFor, isStuffing, type Outcomes, stuffingWindow, usualShare, usualWindow } from '../domain/stuffing.js'
import type { Tools } from './flow.js'

/** All ranges together. */
const everywhere = 'everywhere'

/** How sign-ins went in one place: failed and succeeded, each over distinct accounts. */
function outcomesOf({ counts }: Tools, policy: string, where: string): Outcomes {
  const read = (outcome: string) => counts.look(`${policy}/${outcome}`, where).hits
  return { failed: read('failed'), succeeded: read('succeeded') }
}

const isHeld = ({ counts }: Tools, where: string) => counts.look('stuffing/held', where).hits > 0

/**
 * Refuses an attempt out of a range from which passwords of other services are tried, before its password is looked at: more
 * than the stricter limit are `rate_limited`, whoever the attempt is for. A device in which somebody has signed in to the account
 * before is let through.
 */
export function admitSignIn(tools: Tools, address: string | null, isKnownDevice: boolean): void {
  const { stuffing } = tools.settings
  const range = address === null ? undefined : rangeOf(address)
  if (stuffing === null || stuffing.limit === null || range === undefined) return
  if (isKnownDevice || !isHeld(tools, range)) return
  const { hits, left } = tools.counts.hit('stuffing/limit', range, stuffing.limit.window)
  if (hits <= stuffing.limit.max) return
  tools.log('login.held', { range })
  throw new Refusal('rate_limited', { because: 'stuffing', retryAfter: Math.max(1, Math.ceil(left / 1000)) })
}

/** Counts how an attempt went, and tells of it where there are too many that did not. `who` stands for the account. */
export function countSignIn(tools: Tools, address: string | null, who: string, isRight: boolean): void {
  const range = address === null ? undefined : rangeOf(address)
  if (tools.settings.stuffing === null || range === undefined) return
  const policy = isRight ? 'stuffing/succeeded' : 'stuffing/failed'
  for (const where of [range, everywhere]) {
    // An account counts once, however often somebody mistypes.
    if (tools.counts.isFirst(policy, `${where} ${who}`, stuffingWindow)) {
      tools.counts.hit(policy, where, stuffingWindow)
      if (where === everywhere && !isHeld(tools, range) && !isHeld(tools, everywhere)) {
        // What an attack does is not usual, however long it takes.
        tools.counts.hit(policy.replace('stuffing', 'usual'), everywhere, usualWindow)
      }
    }
  }
  if (isRight) return
  const usual = usualShare(outcomesOf(tools, 'usual', everywhere))
  const told = (where: string, kind: Parameters<typeof isStuffing>[2], length: number) => {
    const outcomes = outcomesOf(tools, 'stuffing', where)
    if (isHeld(tools, where) || !isStuffing(outcomes, usual, kind)) return
    tools.counts.hit('stuffing/held', where, length)
    tools.log('stuffing.seen', { range: where, ...outcomes, usual: Math.round(usual * 100) / 100 })
  }
  // All together are judged anew in each window; a range is held for as long as it takes to tire whoever is there.
  told(everywhere, 'everywhere', stuffingWindow)
  told(range, isHeld(tools, everywhere) ? 'rangeOfMany' : 'range', heldFor)
}
