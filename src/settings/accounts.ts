import { define } from './setting.js'
import { integer, oneOf } from './values.js'

/** Who may register, and how often a password may be guessed. */
export const accounts = {
  AUTH_SIGN_UP: define({
    help: 'Who may register: anybody (`open`), whoever has an invitation (`invitation`), nobody but new administrators (`closed`).',
    fallback: 'open',
    parse: oneOf('open', 'closed', 'invitation')
  }),
  AUTH_GUESSES_FREE: define({
    help: 'Wrong passwords in a row for one account after which the next has to wait: 30 s, then twice as long each time, an hour at most.',
    fallback: '5',
    parse: integer(1, 100)
  }),
  AUTH_GUESSES_MAX: define({
    help: 'Wrong passwords in a row after which only an administrator lets an account be signed in to again (NIST SP 800-63B-4: 100 at most).',
    fallback: '100',
    parse: integer(5, 100)
  })
}
