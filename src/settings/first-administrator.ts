import { optional } from './setting.js'
import { flag, text } from './values.js'

/** Who is made an administrator where there is none. */
export const firstAdministrator = {
  AUTH_PRINT_SETUP_LINK: optional({
    help: 'Whether a start without an administrator prints a link to make the first one.',
    fallbackNote: 'true, in production false',
    parse: flag
  }),
  AUTH_BOOTSTRAP_ADMIN_USERNAME: optional({ help: 'Made an administrator at a start without one.', parse: text }),
  AUTH_BOOTSTRAP_ADMIN_EMAIL: optional({ help: 'Email of that administrator.', parse: text }),
  AUTH_BOOTSTRAP_ADMIN_PASSWORD: optional({ help: 'Password of that administrator.', secret: true, parse: text })
}
