/** For teams that embed the service, and add routes and authenticators of their own. */
export { type AppOptions, buildApp } from './app.js'
export { type Config, ConfigError, readConfig } from './config.js'
export { type Principal, principal } from './domain/principal.js'
export { Refusal } from './domain/refusal.js'
export {
  allow,
  type Check,
  describeRequirement,
  type Facts,
  judge,
  type RequestContext,
  type Requirement,
  type Verdict
} from './domain/requirement.js'
export { type Authenticator, defineAuthenticator } from './plugins/authenticators.js'
export { drf } from './plugins/drf.js'
export { type GuardOptions, guard } from './plugins/guard.js'
export { defineKeyProvider, type KeyProvider, type Signer } from './plugins/key-providers.js'
export { buildConfiguredApp, openConfiguredDatabase, prepareSchema } from './server.js'
