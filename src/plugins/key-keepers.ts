import type { KeyObject } from 'node:crypto'
import { refusalOfKey } from '../domain/key-material.js'
import type { SigningAlgorithm } from '../domain/key-ring.js'
import type { NewSigningKey, PrivateHalf } from '../storage/signing-keys.js'
import { askProvider, type KeyProvider, type Signer } from './key-providers.js'
import { describeKey, exportPrivateKey, generateKey, importPrivateKey, probe } from './token-engine.js'
import type { Vault } from './vault.js'

/** Those that modules of AUTH_PLUGINS define. */
export interface KeyProviders {
  readonly known: readonly KeyProvider[]
  /** Milliseconds that a provider may take for a signature or a key. */
  readonly timeout: number
}

/** Throws an Error that says what to set where nobody defines it. */
function providerOf({ known }: KeyProviders, name: string): KeyProvider {
  const found = known.find((provider) => provider.name === name)
  if (found !== undefined) return found
  const names = ['local', ...known.map((provider) => provider.name)].join(', ')
  throw new Error(
    `There is no key provider "${name}": no module of AUTH_PLUGINS defines it. AUTH_KEY_PROVIDER may be ${names}.`
  )
}

export function sealedHalf(vault: Vault, kid: string, privateKey: KeyObject): PrivateHalf {
  return { provider: 'local', sealed: vault.seal(exportPrivateKey(privateKey), kid) }
}

/** A new key, kept here or by a provider. One that is not what it should be is an error, and never published. */
export async function createKey(
  vault: Vault,
  providers: KeyProviders,
  { provider: name, algorithm }: { readonly provider: string; readonly algorithm: SigningAlgorithm }
): Promise<NewSigningKey> {
  if (name === 'local') {
    const { privateKey, ...key } = await generateKey(algorithm)
    return { ...key, privateHalf: sealedHalf(vault, key.kid, privateKey) }
  }
  const provider = providerOf(providers, name)
  return await askProvider(name, providers.timeout, async () => {
    const { reference, publicJwk } = await provider.create(algorithm)
    if (typeof reference !== 'string' || reference.length < 1 || reference.length > 1000) {
      throw new Error('the reference of its new key is not a text of 1 to 1000 characters')
    }
    if (typeof publicJwk !== 'object' || publicJwk === null) throw new Error('its new key has no public half')
    // `alg` and the like are ours to say.
    const { alg: _alg, use: _use, key_ops: _operations, ...members } = publicJwk
    const because = refusalOfKey(members, algorithm)
    if (because !== null) throw new Error(`its new key is of no use: ${because}`)
    const key = describeKey(members, algorithm)
    await probe(key, await provider.signer(reference, algorithm))
    return { ...key, privateHalf: { provider: name, reference } }
  })
}

/** The private half of a key, opened, or the signer that stands for it. Throws where this replica has neither. */
export function signerOf(
  vault: Vault,
  providers: KeyProviders,
  key: { readonly kid: string; readonly algorithm: SigningAlgorithm; readonly privateHalf: PrivateHalf }
): KeyObject | Signer {
  const { privateHalf: half, algorithm, kid } = key
  if ('sealed' in half) return importPrivateKey(vault.open(half.sealed, kid))
  const provider = providerOf(providers, half.provider)
  let signer: Signer | undefined
  return {
    sign: (input) =>
      askProvider(half.provider, providers.timeout, () => {
        signer ??= provider.signer(half.reference, algorithm)
        return signer.sign(input)
      })
  }
}
