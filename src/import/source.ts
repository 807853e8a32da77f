import type { ImportSource } from '../domain/imported-user.js'
import { auth0 } from './auth0.js'
import { django } from './django.js'
import { firebase, readHashConfig } from './firebase.js'
import { supabase } from './supabase.js'

export const systems = ['django', 'auth0', 'firebase', 'supabase'] as const

export type System = (typeof systems)[number]

export interface SourceOptions {
  /** Firebase's password hash parameters. */
  readonly hashConfig: string | undefined
  /** Django's AUTH_USER_MODEL. */
  readonly userModel: string | undefined
  readonly now: Date
}

/** Opens an export of another system. Throws a SourceError where it is none. */
export async function openSource(system: System, path: string, options: SourceOptions): Promise<ImportSource> {
  switch (system) {
    case 'django':
      return await django(path, options.userModel)
    case 'auth0':
      return await auth0(path)
    case 'firebase':
      return await firebase(path, await readHashConfig(options.hashConfig!))
    case 'supabase':
      return await supabase(path, options.now)
  }
}
