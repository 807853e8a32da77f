import { isUuid } from '../domain/uuid.js'
import * as accounts from '../storage/accounts.js'
import type { Tools } from './flow.js'

/** The account's email as it is now; null where there is none, or nobody has shown that it is theirs. */
export async function verifiedEmail(tools: Tools, accountId: string): Promise<string | null> {
  const account = isUuid(accountId) ? await accounts.find(tools.db, accountId) : undefined
  return account === undefined || account.emailVerifiedAt === null ? null : account.email
}
