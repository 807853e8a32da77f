import type { Prover } from './types.js'

export interface DpopOptions {
  /** The name of its database in IndexedDB: the key is one for all tabs of the origin. Default `keyturn`. */
  readonly database?: string
  /** Milliseconds since 1970, by this machine. Default Date.now. */
  readonly now?: () => number
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const
/** Date tells whole seconds, and an answer takes time. */
const noticeable = 3_000

const store = 'keys'
const id = 'dpop'

const base64url = (bytes: ArrayBuffer | Uint8Array): string =>
  btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=+$/, '')

const encode = (value: object): string => base64url(new TextEncoder().encode(JSON.stringify(value)))

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** Runs one transaction, and closes the database: an open one can keep a page out of the back/forward cache. */
async function inDatabase<T>(name: string, run: (keys: IDBObjectStore) => Promise<T>): Promise<T> {
  const opening = indexedDB.open(name, 1)
  opening.onupgradeneeded = () => void opening.result.createObjectStore(store)
  const database = await settled(opening)
  try {
    return await run(database.transaction(store, 'readwrite').objectStore(store))
  } finally {
    database.close()
  }
}

/** The key of this origin: the one that is there, or else this one. Of several tabs one comes first, and all take its key. */
function settle(name: string, fresh: CryptoKeyPair): Promise<CryptoKeyPair> {
  return inDatabase(name, async (keys) => {
    const found = (await settled(keys.get(id))) as CryptoKeyPair | undefined
    if (found) return found
    await settled(keys.put(fresh, id))
    return fresh
  })
}

/**
 * Proofs of possession (RFC 9449) by a key of this browser's own: ES256, made by WebCrypto, not extractable, in IndexedDB. A
 * session that begins with it is worth nothing anywhere else, and whoever runs script in the page can use the key and not
 * take it along. It needs https, or localhost. Where there is no IndexedDB the key, and with it the session, is gone with
 * the page.
 */
export function dpop({ database = 'keyturn', now = Date.now }: DpopOptions = {}): Prover {
  /** The service's clock minus ours, as the last answer said: a proof is judged by that one. */
  let skew = 0
  /** By origin. */
  const nonces = new Map<string, string>()
  let pair: Promise<CryptoKeyPair> | undefined

  async function load(): Promise<CryptoKeyPair> {
    const fresh = (await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])) as CryptoKeyPair
    return await settle(database, fresh).catch(() => fresh)
  }

  const keyPair = () => {
    pair ??= load().catch((error) => {
      pair = undefined
      throw error
    })
    return pair
  }

  return {
    async prove({ method, url, accessToken }) {
      const { origin, pathname } = new URL(url)
      const nonce = nonces.get(origin)
      const { privateKey, publicKey } = await keyPair()
      const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', publicKey)
      const head = encode({ typ: 'dpop+jwt', alg: 'ES256', jwk: { kty, crv, x, y } })
      const hash =
        accessToken === undefined
          ? undefined
          : await crypto.subtle.digest('SHA-256', new TextEncoder().encode(accessToken))
      const body = encode({
        jti: base64url(crypto.getRandomValues(new Uint8Array(16))),
        htm: method,
        htu: origin + pathname,
        iat: Math.floor((now() + skew) / 1000),
        ...(hash && { ath: base64url(hash) }),
        ...(nonce !== undefined && { nonce })
      })
      const text = new TextEncoder().encode(`${head}.${body}`)
      const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, text)
      return `${head}.${body}.${base64url(signature)}`
    },
    learn({ status, headers }, url) {
      const { origin } = new URL(url)
      const nonce = headers.get('dpop-nonce')
      if (nonce !== null) nonces.set(origin, nonce)
      const date = Date.parse(headers.get('date') ?? '')
      const change = date > 0 ? date + 500 - now() - skew : 0
      if (Math.abs(change) > noticeable) skew += change
      return status === 401 && /use_dpop_nonce|invalid_dpop_proof/.test(headers.get('www-authenticate') ?? '')
    },
    async keep() {
      // A sign-out elsewhere may have cleared the storage of this site since.
      await keyPair()
        .then((mine) => settle(database, mine))
        .catch(() => {})
    }
  }
}
