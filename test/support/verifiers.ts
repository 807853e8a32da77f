import { execFile, spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { converse, type Program } from './conversation.js'
import { missingModules, python } from './python.js'

/** Other people's libraries, each in a program that answers, token by token, what it says of it. */

const folder = fileURLToPath(new URL('../interop/verifiers/', import.meta.url))

export type Jose = 'ES256' | 'EdDSA' | 'RS256' | 'PS256'

export interface Verifier {
  readonly name: string
  /** Where it is from, for the table. */
  readonly from: 'npm' | 'Debian 12' | 'Go'
  /** Packages of npm with their versions. */
  readonly packages?: readonly string[]
  /** Whether the project has it already. */
  readonly isOurs?: boolean
  /** What it is known to verify. */
  readonly algorithms: readonly Jose[]
  /** Whether it refuses tokens of another type: by itself, because it was told to, or not. */
  readonly types: 'always' | 'by setting' | 'in our program' | 'no'
  /** What has to be known of it. */
  readonly note?: string
  /** What it accepts though nobody should, by the title of a specimen, with why that is known. */
  readonly peculiarities?: Readonly<Record<string, string>>
  readonly program: (installed: string) => Program
  /** Why it cannot be run here, or false. */
  missing(): string | false
}

const every: readonly Jose[] = ['ES256', 'EdDSA', 'RS256', 'PS256']
const withoutEdDsa: readonly Jose[] = ['ES256', 'RS256', 'PS256']

type Rest = Omit<Verifier, 'name' | 'from' | 'packages' | 'program' | 'missing'>

/** One that npm has: run where it is installed. */
function ofNpm(
  file: string,
  packages: readonly string[],
  rest: Rest & { readonly environment?: Record<string, string> }
): Verifier {
  const { environment, ...known } = rest
  const [name] = packages
  return {
    ...known,
    name: environment?.STRICT ? `${name} (strict)` : name!,
    from: 'npm',
    packages,
    program: (installed) => ({
      command: process.execPath,
      words: [join(installed, `${file}.js`)],
      ...(environment === undefined ? {} : { environment })
    }),
    missing: () => false
  }
}

function ofDebian(
  name: string,
  command: string,
  words: readonly string[],
  missing: () => string | false,
  rest: Rest
): Verifier {
  const last = words.at(-1)!
  return {
    ...rest,
    name,
    from: 'Debian 12',
    program: () => ({ command, words: [...words.slice(0, -1), join(folder, last)] }),
    missing
  }
}

const inPython = (name: string, file: string, modules: readonly string[], rest: Rest) =>
  ofDebian(name, python, ['-B', file], () => missingModules(...modules), rest)

/** Whether a program runs, by words that make it say something and end. */
const fails = (command: string, ...words: string[]) => spawnSync(command, words).status !== 0

export const verifiers: readonly Verifier[] = [
  ofNpm('jose', ['jose@6.2.18'], { isOurs: true, algorithms: every, types: 'by setting' }),
  ofNpm('oauth4webapi', ['oauth4webapi@3.8.8'], { isOurs: true, algorithms: every, types: 'always' }),
  ofNpm('aws-jwt-verify', ['aws-jwt-verify@5.2.1'], { algorithms: ['ES256', 'EdDSA', 'RS256'], types: 'no' }),
  ofNpm('express-oauth2-jwt-bearer', ['express-oauth2-jwt-bearer@1.10.0'], { algorithms: every, types: 'no' }),
  ofNpm('express-oauth2-jwt-bearer', ['express-oauth2-jwt-bearer@1.10.0'], {
    algorithms: every,
    types: 'by setting',
    environment: { STRICT: '1' }
  }),
  ofNpm('fastify-jwt', ['@fastify/jwt@10.2.8', 'get-jwks@11.0.3', 'fastify@5.12.8'], {
    algorithms: withoutEdDsa,
    types: 'no'
  }),
  ofNpm('fastify-jwt-jwks', ['fastify-jwt-jwks@3.1.2', 'fastify@5.12.8'], {
    algorithms: ['EdDSA', 'RS256'],
    types: 'no'
  }),
  ofNpm('jsonwebtoken', ['jsonwebtoken@9.0.3', 'jwks-rsa@4.1.0'], { algorithms: withoutEdDsa, types: 'no' }),
  ofNpm('passport-jwt', ['passport-jwt@4.0.1', 'jwks-rsa@4.1.0'], { algorithms: withoutEdDsa, types: 'no' }),
  ofNpm('express-jwt', ['express-jwt@8.5.1', 'jwks-rsa@4.1.0'], { algorithms: withoutEdDsa, types: 'no' }),
  ofNpm('hono', ['hono@4.13.19'], {
    algorithms: [],
    types: 'no',
    note: 'It takes no `typ` but `JWT`, and so no access token of RFC 9068. Use jose in its place, as a middleware.'
  }),
  inPython('PyJWT 2.6', 'with_pyjwt.py', ['jwt', 'cryptography'], { algorithms: every, types: 'in our program' }),
  inPython('jwcrypto 1.1', 'with_jwcrypto.py', ['jwcrypto', 'cryptography'], {
    algorithms: every,
    types: 'in our program'
  }),
  inPython('Authlib 1.2', 'with_authlib.py', ['authlib.jose', 'cryptography'], { algorithms: every, types: 'no' }),
  inPython('python-jose 3.3', 'with_python_jose.py', ['jose', 'cryptography'], {
    algorithms: ['ES256', 'RS256'],
    types: 'no'
  }),
  inPython('DRF simplejwt 5.2', 'with_simplejwt.py', ['rest_framework_simplejwt', 'cryptography'], {
    algorithms: ['ES256', 'RS256'],
    types: 'no'
  }),
  ofDebian(
    'ruby-jwt 2.5',
    'ruby',
    ['with_ruby_jwt.rb'],
    () => fails('ruby', '-rjwt', '-e', '') && 'ruby-jwt is not installed: run scripts/test-deps.sh',
    { algorithms: withoutEdDsa, types: 'no' }
  ),
  ofDebian(
    'Crypt::JWT 0.034',
    '/usr/bin/perl',
    ['with_crypt_jwt.pl'],
    () => fails('/usr/bin/perl', '-MCrypt::JWT', '-e', '1') && 'Crypt::JWT is not installed: run scripts/test-deps.sh',
    { algorithms: every, types: 'no' }
  ),
  {
    name: 'go-oidc v3.11.0',
    from: 'Go',
    algorithms: every,
    types: 'no',
    program: (installed) => ({ command: join(installed, 'go-oidc'), words: [] }),
    missing: () => fails('go', 'version') && 'go is not installed'
  }
]

/** Where those of npm are run that the project has already. */
export const here = folder

/**
 * Installs what a verifier needs into a folder of its own, from its registry; the project depends on none of them. Says why
 * it cannot, or false.
 */
export async function install(verifier: Verifier, into: string): Promise<string | false> {
  const missing = verifier.missing()
  if (missing !== false) return missing
  mkdirSync(into, { recursive: true })
  if (verifier.from === 'npm') {
    for (const name of readdirSync(folder)) if (name.endsWith('.js')) copyFileSync(join(folder, name), join(into, name))
    writeFileSync(join(into, 'package.json'), '{"type":"module","private":true}\n')
    const words = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline', ...verifier.packages!]
    const failure = await failureOf('npm', words, into, 180_000)
    return failure === false ? false : `${verifier.packages!.join(', ')} cannot be installed: ${failure}`
  }
  if (verifier.from === 'Go') {
    for (const name of ['main.go', 'go.mod']) copyFileSync(join(folder, 'go-oidc', name), join(into, name))
    const words = ['build', '-mod=mod', '-o', join(into, 'go-oidc'), '.']
    const failure = await failureOf('go', words, into, 300_000)
    return failure === false ? false : `go-oidc cannot be built: ${failure}`
  }
  return false
}

/** The last line of what a program says that fails, or false. */
async function failureOf(command: string, words: string[], cwd: string, timeout: number): Promise<string | false> {
  try {
    await promisify(execFile)(command, words, { cwd, timeout })
    return false
  } catch (error) {
    const { stderr = '', message } = error as { stderr?: string; message: string }
    return (stderr || message).trim().split('\n').at(-1)!
  }
}

export type Saying = { readonly sub: string } | { readonly refused: string }

/** Starts a verifier that is told the issuer, the audience and the algorithm; ends with the test. */
export function ask(t: Test, verifier: Verifier, installed: string, issuer: string, algorithm: Jose) {
  const { words, ...program } = verifier.program(installed)
  const { ask } = converse(t, { ...program, words: [...words, issuer, 'api', algorithm] })
  return async (token: string) => (await ask({ token })) as Saying
}
