/** What a request is for, the first to be refused first: whoever is signed in stays so, whoever is not can wait. */
export const loadClasses = ['sign_in', 'change', 'session', 'vital'] as const

/**
 * `sign_in`: by password, and registrations. `change`: what is written and administered, and every route that says
 * nothing. `session`: refresh, sign-out, introspection, who a credential is. `vital`: what others ask to verify by
 * themselves, and health; never refused, since a process that is ended for being slow makes its neighbours slower.
 */
export type LoadClass = (typeof loadClasses)[number]

/** How many times the limit it takes until a class is refused. */
const factors = [1, 2, 4, Number.POSITIVE_INFINITY] as const
/** A class that is refused is let in again below this part of what it took: on the brink it would come and go. */
const relief = 0.8

/** How many classes, from the first on, are refused at this delay, where `before` of them were. */
export function refusedByDelay(delay: number, limit: number, before: number): number {
  const refused = factors.filter((factor, at) => delay >= limit * factor * (at < before ? relief : 1))
  return refused.length
}

/** From how many requests under way a class is refused. */
export function requestBound(loadClass: LoadClass, limit: number): number {
  return limit * factors[loadClasses.indexOf(loadClass)]!
}
