import { define, optional } from './setting.js'
import { integer, list, must, secretKey, text } from './values.js'

/** Where passwords that leaked are looked up. */
function breachedPasswords(text: string): string | URL | null {
  if (text === 'off') return null
  if (!/^https?:/.test(text)) return text
  return URL.canParse(text)
    ? new URL(text)
    : must('a file, an address such as https://api.pwnedpasswords.com/range, or off')
}

/** What a password must be, and how it is kept. */
export const passwords = {
  AUTH_PASSWORD_MIN_LENGTH: define({
    help: 'Characters of a new password (NIST SP 800-63B-4: 15 where it is the only factor).',
    fallback: '15',
    parse: integer(8, 64)
  }),
  AUTH_PASSWORD_CONTEXT_WORDS: define({
    help: 'Comma-separated names that whoever guesses would try first, such as those of your company and products. New passwords may have them in, and need half of AUTH_PASSWORD_MIN_LENGTH beside them; the same holds for the names in AUTH_ISSUER’s host and the account’s own.',
    fallback: '',
    example: 'acme,roadrunner',
    parse: list(text)
  }),
  AUTH_BREACHED_PASSWORDS: define({
    help: 'Where new passwords are looked up among those that leaked: a sorted file of lines SHA1:COUNT (as Have I Been Pwned’s downloader writes it), or a service that is asked for ranges (https://api.pwnedpasswords.com/range) and never learns the password; `off` for nowhere. Where it cannot be asked a password passes, and the log tells.',
    fallback: 'off',
    parse: breachedPasswords
  }),
  AUTH_PASSWORD_PEPPER: optional({
    help: 'A secret that passwords go through before they are hashed, kept apart from the database; 32 random bytes in base64, the same on every replica. Losing it loses every password.',
    secret: true,
    parse: secretKey
  }),
  AUTH_PASSWORD_PEPPER_PREVIOUS: optional({
    help: 'Comma-separated peppers of before, with which stored passwords are still checked; each gets the present one at its next sign-in.',
    secret: true,
    parse: list(secretKey)
  }),
  AUTH_HASH_MEMORY: define({ help: 'argon2id memory in KiB.', fallback: '19456', parse: integer(8, 1_048_576) }),
  AUTH_HASH_ITERATIONS: define({ help: 'argon2id passes.', fallback: '2', parse: integer(1, 100) }),
  AUTH_HASH_CONCURRENCY: optional({
    help: 'Passwords hashed at a time; each takes AUTH_HASH_MEMORY.',
    fallbackNote: 'number of cores',
    parse: integer(1, 256)
  }),
  AUTH_HASH_QUEUE: define({
    help: 'Passwords that may wait to be hashed; the next sign-in is answered 503 with Retry-After.',
    fallback: '100',
    parse: integer(0, 100_000)
  }),
  AUTH_LEGACY_HASH_CONCURRENCY: define({
    help: 'Passwords of other systems checked at a time, until each becomes argon2id at its next sign-in; one takes up to 256 MiB (Django’s argon2: 100 MiB).',
    fallback: '1',
    parse: integer(1, 64)
  })
}
