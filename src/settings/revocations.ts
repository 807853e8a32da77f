import { define } from './setting.js'
import { flag, oneOf } from './values.js'

/** How others learn what was ended. */
export const revocations = {
  AUTH_REVOCATION_FEED: define({
    help: 'Who may read GET /v1/revocations and its stream: everybody (`public`), as with the key set, or clients with the permission `keyturn.revocations` (`clients`).',
    fallback: 'public',
    parse: oneOf('public', 'clients')
  }),
  AUTH_STATUS_LIST: define({
    help: 'Whether new sessions get a place in an OAuth Token Status List, which their access tokens name: /v1/status-lists.',
    fallback: 'false',
    parse: flag
  })
}
