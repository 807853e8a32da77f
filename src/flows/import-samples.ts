import { emailKey, usernameKey } from '../domain/identity.js'
import { type ImportSource, judgeImportedPassword } from '../domain/imported-user.js'
import type { Tools } from './flow.js'

/** How many users of a file have a password by which scheme, of those that can be checked. */
export async function surveyPasswords(_tools: Tools, source: ImportSource): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for await (const entry of source.entries()) {
    if (entry.kind !== 'user') continue
    const { scheme, stored } = judgeImportedPassword(entry.user.password)
    if (stored !== null) counts.set(scheme, (counts.get(scheme) ?? 0) + 1)
  }
  return counts
}

/** A user whose password is known. */
export interface Sample {
  /** Username or address. */
  readonly name: string
  readonly password: string
}

export interface SampleResult {
  readonly name: string
  /** Null where the user is not in the file, or has no password that can be checked. */
  readonly scheme: string | null
  readonly isRight: boolean
}

/** Checks known passwords against a file before anything of it is written: a wrong export looks like wrong passwords. */
export async function verifySamples(
  tools: Tools,
  source: ImportSource,
  samples: readonly Sample[]
): Promise<SampleResult[]> {
  const results = new Map<Sample, SampleResult>()
  for await (const entry of source.entries()) {
    if (entry.kind !== 'user') continue
    const { user } = entry
    for (const sample of samples) {
      if (results.has(sample)) continue
      const isNamed =
        (user.username !== null && usernameKey(user.username) === usernameKey(sample.name)) ||
        (user.email !== null && emailKey(user.email) === emailKey(sample.name))
      if (!isNamed) continue
      const { stored, scheme } = judgeImportedPassword(user.password)
      const isRight = stored !== null && (await tools.passwords.verify(stored, sample.password))
      results.set(sample, { name: sample.name, scheme: stored === null ? null : scheme, isRight })
    }
  }
  return samples.map((sample) => results.get(sample) ?? { name: sample.name, scheme: null, isRight: false })
}
