import { spawnSync } from 'node:child_process'

/** Debian's own interpreter: its packages are not in others. */
export const python = '/usr/bin/python3'

/** Why modules cannot be used here, or false. */
export function missingModules(...modules: string[]): string | false {
  const { status } = spawnSync(python, ['-c', `import ${modules.join(', ')}`])
  return status === 0 ? false : `not all of ${modules.join(', ')} are installed: run scripts/test-deps.sh`
}
