import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import fp from 'fastify-plugin'
import { normalizePassword } from '../domain/password-policy.js'
import { getText } from './outgoing.js'
import { traced } from './tracing.js'

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether a password is among those that leaked somewhere; false where nobody can be asked, which the log tells. */
    isBreached(password: string): Promise<boolean>
  }
}

export interface BreachedPasswordsOptions {
  /** A file, or a service by its address; null for neither. */
  readonly source: string | URL | null
  /** Milliseconds that the service may take. */
  readonly timeout: number
}

/** Bytes of an answer that are read: with padding a range has some thousand lines of 40 bytes. */
const maxAnswer = 1_000_000
/** Bytes that are looked at at once; a line of the file is 50 at most. */
const block = 4_096

type Look = (digest: string) => Promise<boolean>

/**
 * Looks into a file of lines `SHA1:COUNT`, sorted, as Have I Been Pwned's downloader writes it: by halving, so that tens of
 * gigabytes cost some thirty reads.
 */
async function openFile(path: string): Promise<{ look: Look; close(): Promise<void> }> {
  const file: FileHandle = await open(path).catch((error) => {
    throw new Error(`AUTH_BREACHED_PASSWORDS names ${path}, which cannot be read: ${error.message}`)
  })
  const { size } = await file.stat()

  /** The first whole line at or after a place. */
  async function lineAt(place: number): Promise<{ text: string; end: number } | undefined> {
    const from = Math.max(0, place - 1)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(block), 0, block, from)
    const text = buffer.toString('latin1', 0, bytesRead)
    const start = place === 0 ? 0 : text.indexOf('\n') + 1
    if (place > 0 && start === 0) return undefined
    const end = text.indexOf('\n', start)
    const line = end < 0 ? text.slice(start) : text.slice(start, end)
    return line === '' ? undefined : { text: line, end: from + start + line.length + 1 }
  }

  return {
    async look(digest) {
      let [low, high] = [0, size]
      while (low < high) {
        const middle = Math.floor((low + high) / 2)
        const line = await lineAt(middle)
        const found = line?.text.slice(0, 40).toUpperCase()
        if (found === digest) return true
        if (line === undefined || found! > digest) high = middle
        else low = line.end
      }
      return false
    },
    close: () => file.close()
  }
}

/** Asks a service for all digests that begin like this one: it never learns which one it was (k-anonymity). */
function askService(address: URL, timeout: number): Look {
  return async (digest) => {
    const url = `${address.href.replace(/\/$/, '')}/${digest.slice(0, 5)}`
    // Padding: the length of an answer tells nothing either.
    const text = await getText(url, { headers: { 'add-padding': 'true' }, timeout, maxBytes: maxAnswer })
    for (const line of text.split('\n')) {
      const [suffix = '', count = '0'] = line.trim().split(':')
      if (suffix.toUpperCase() === digest.slice(5)) return Number(count) > 0
    }
    return false
  }
}

/** Passwords that leaked elsewhere are among the first that others try (NIST SP 800-63B-4 §3.1.1.2, ASVS 6.2.12). */
export const breachedPasswords = fp<BreachedPasswordsOptions>(
  async (app, { source, timeout }) => {
    if (source === null) {
      app.decorate('isBreached', async () => false)
      return
    }
    const file = source instanceof URL ? undefined : await openFile(source)
    const look = file?.look ?? askService(source as URL, timeout)
    app.decorate('isBreached', async (password) => {
      const digest = createHash('sha1').update(normalizePassword(password)).digest('hex').toUpperCase()
      try {
        const draft = { name: 'look up leaked password', kind: 'client', attributes: {} } as const
        return await traced(app.tracing, draft, () => look(digest))
      } catch (error) {
        app.log.warn({ error: (error as Error).message }, 'a new password could not be compared with those that leaked')
        return false
      }
    })
    app.addHook('onClose', () => file?.close())
  },
  { name: 'breached-passwords', dependencies: ['tracing'], fastify: '5.x' }
)
