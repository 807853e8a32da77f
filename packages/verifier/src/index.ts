export type { AccessTokenClaims } from '../../../src/domain/access-token.js'
export type { Principal } from '../../../src/domain/principal.js'
export {
  allow,
  type Check,
  describeRequirement,
  judge,
  type RequestContext,
  type Requirement
} from '../../../src/domain/requirement.js'
export { AuthError, type AuthErrorCode, type AuthErrorDetails, type Problem } from './auth-error.js'
export { fromEnv } from './from-env.js'
export type {
  ClientCredentials,
  KeyOptions,
  Logger,
  OnStale,
  RevocationOptions,
  VerifierOptions
} from './options.js'
export type { RequestHeaders } from './presented.js'
export type { VerifiedPrincipal } from './principal.js'
export type { RevocationHealth } from './revocation/source.js'
export {
  type Context,
  createVerifier,
  type Health,
  type KeysHealth,
  type RequestFacts,
  type Verifier,
  type VerifyResult
} from './verifier.js'
