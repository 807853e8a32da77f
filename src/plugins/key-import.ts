import { createPrivateKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { duplicateMember } from '../domain/json-members.js'
import { refusalOfKey } from '../domain/key-material.js'
import type { SigningAlgorithm } from '../domain/key-ring.js'
import { describeKey, type KeyMaterial, localSigner, probe, publicJwkOf } from './token-engine.js'

/** A key that cannot be imported. The message says why and what to do; nothing of the key is in it. */
export class KeyImportError extends Error {
  override readonly name = 'KeyImportError'
}

const refuse = (because: string): never => {
  throw new KeyImportError(`The key cannot be imported: ${because}.`)
}

/** Characters; a key of RSA with 8192 bits has a tenth of them. */
const longest = 64 * 1024

/**
 * Exactly one block, with nothing before and after it but a line break: parsers that look for the block somewhere in the
 * text have taken public keys for shared secrets (CVE-2023-48223).
 */
const pem =
  /^-----BEGIN ([A-Z0-9 ]{1,40})-----\r?\n((?:[A-Za-z0-9+/]{1,76}\r?\n)*[A-Za-z0-9+/]{1,76}={0,2}\r?\n)-----END \1-----(?:\r?\n)?$/

const encodings: Readonly<Record<string, 'pkcs8' | 'sec1' | 'pkcs1'>> = {
  'PRIVATE KEY': 'pkcs8',
  'EC PRIVATE KEY': 'sec1',
  'RSA PRIVATE KEY': 'pkcs1'
}

/** Whether bytes are one DER sequence of just this length (X.690 §8.1.3). */
function isWholeSequence(der: Buffer): boolean {
  if (der[0] !== 0x30 || der.length < 2) return false
  const first = der[1]!
  if (first < 0x80) return der.length === 2 + first
  const octets = first - 0x80
  return octets >= 1 && octets <= 3 && der.length === 2 + octets + der.readUIntBE(2, octets)
}

function fromPem(text: string): KeyObject {
  if (/^-----BEGIN ENCRYPTED PRIVATE KEY-----/.test(text) || /^(?:Proc-Type|DEK-Info):/m.test(text)) {
    refuse('it is encrypted. Decrypt it first, into a pipe: `openssl pkcs8 -in key.pem | keyturn keys import`')
  }
  if (text.startsWith('-----BEGIN EC PARAMETERS-----')) {
    refuse('parameters of the curve stand before it. Pipe it through `openssl pkcs8 -topk8 -nocrypt`')
  }
  const match = pem.exec(text) ?? refuse('it is not one whole block of PEM with nothing before or after it')
  const [, label = '', body = ''] = match
  if (/PUBLIC KEY|CERTIFICATE/.test(label)) refuse('it is a public half. Give the private one')
  const type = encodings[label] ?? refuse(`a block "${label}" is none of PKCS#8, SEC1 and PKCS#1`)
  const der = Buffer.from(body, 'base64')
  if (!isWholeSequence(der)) refuse('its content is cut off, or something was added')
  try {
    return createPrivateKey({ key: der, format: 'der', type })
  } catch {
    return refuse(`its content is not a private key in ${label === 'PRIVATE KEY' ? 'PKCS#8' : label}`)
  }
}

function fromJson(text: string): { key: KeyObject; jwk: Record<string, unknown> } {
  let parsed: Record<string, unknown>
  try {
    parsed = JSON.parse(text)
  } catch {
    return refuse('it begins like JSON and is none')
  }
  if (duplicateMember(text) !== undefined) refuse('a member occurs twice, so readers differ about what it is')
  const keys: unknown[] = 'keys' in parsed ? (Array.isArray(parsed.keys) ? parsed.keys : []) : [parsed]
  const isObject = (one: unknown): one is Record<string, unknown> => typeof one === 'object' && one !== null
  const secret = keys.filter(isObject).filter((one) => one.d !== undefined)
  if (secret.length !== 1) refuse(`it has ${secret.length} private keys, and must have one`)
  const jwk = secret[0]!
  try {
    return { key: createPrivateKey({ key: jwk as JsonWebKey, format: 'jwk' }), jwk }
  } catch {
    return refuse('it is not a private key as RFC 7518 §6 or RFC 8037 writes it')
  }
}

/**
 * A private key out of a PEM (PKCS#8, SEC1, PKCS#1), a JWK, or a key set with one private key. Throws a KeyImportError
 * for all else: also for one that is no pair, too weak, or of another algorithm than the one configured, which the next
 * start would replace.
 */
export async function readPrivateKey(text: string, algorithm: SigningAlgorithm): Promise<KeyMaterial> {
  if (text.length > longest) refuse('it is longer than 64 KiB')
  const { key, jwk } = text.startsWith('{')
    ? fromJson(text)
    : text.startsWith('-----BEGIN ')
      ? { key: fromPem(text), jwk: {} }
      : refuse('it is neither a PEM nor a JWK, or something stands before it')
  if (!/^(ec|ed25519|rsa)$/.test(String(key.asymmetricKeyType))) {
    refuse(`it is a key of ${key.asymmetricKeyType}, and may be one of EC P-256, Ed25519 or RSA`)
  }
  const { alg, use, key_ops: operations } = jwk
  const told = { ...(alg === undefined ? {} : { alg }), ...(use === undefined ? {} : { use }) }
  const members = { ...publicJwkOf(key), ...told, ...(operations === undefined ? {} : { key_ops: operations }) }
  const because = refusalOfKey(members, algorithm)
  if (because !== null) refuse(`${because}. AUTH_SIGNING_ALGORITHM is ${algorithm}`)
  const material = { ...describeKey(members, algorithm), privateKey: key }
  await probe(material, localSigner(algorithm, key)).catch(() => refuse('its two halves are no pair'))
  return material
}
