import type { ImportSource } from '../domain/imported-user.js'

export const systems = ['django', 'auth0', 'firebase', 'supabase'] as const

export type System = (typeof systems)[number]

export interface SourceOptions {
  /** Firebase's password hash parameters. */
  readonly hashConfig: string | undefined
  /** Django's AUTH_USER_MODEL. */
  readonly userModel: string | undefined
  readonly now: Date
}

/** Opens an export of another system, by a reader that no other command loads. Throws a SourceError where it is none. */
export async function openSource(system: System, path: string, options: SourceOptions): Promise<ImportSource> {
  switch (system) {
    case 'django': {
      const { django } = await import('./django.js')
      return await django(path, options.userModel)
    }
    case 'auth0': {
      const { auth0 } = await import('./auth0.js')
      return await auth0(path)
    }
    case 'firebase': {
      const { firebase, readHashConfig } = await import('./firebase.js')
      return await firebase(path, await readHashConfig(options.hashConfig!))
    }
    case 'supabase': {
      const { supabase } = await import('./supabase.js')
      return await supabase(path, options.now)
    }
  }
}
