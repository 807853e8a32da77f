import { readFileSync } from 'node:fs'
import { formatFirebaseScrypt } from '../../src/domain/legacy-password.js'

export interface PasswordVector {
  readonly scheme: string
  readonly password: string
  readonly encoded: string
}

const read = (name: string) =>
  JSON.parse(readFileSync(new URL(`../vectors/passwords/${name}.json`, import.meta.url), 'utf8'))

/** The example that Firebase publishes, and its account as we keep it. */
export const firebaseExample = read('firebase')
const firebase: PasswordVector = {
  scheme: 'firebase-scrypt',
  password: firebaseExample.password,
  encoded: formatFirebaseScrypt(firebaseExample, firebaseExample.salt, firebaseExample.hash)!
}

/** Passwords as other systems stored them: see test/vectors/passwords/README.md. */
export const passwordVectors: readonly PasswordVector[] = [
  ...(read('django') as Array<{ vectors: PasswordVector[] }>).flatMap(({ vectors }) => vectors),
  ...(read('phc') as PasswordVector[]),
  firebase
]
