import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'

/** Debian's own interpreter: its packages are not in others. */
export const python = '/usr/bin/python3'

/** Why modules cannot be used here, or false. */
export function missingModules(...modules: string[]): string | false {
  const { status } = spawnSync(python, ['-c', `import ${modules.join(', ')}`])
  return status === 0 ? false : `not all of ${modules.join(', ')} are installed: run scripts/test-deps.sh`
}

export interface Conversation {
  /** One line of JSON in, one out. One at a time. */
  ask(question: object): Promise<unknown>
}

/** Starts a script that answers line by line. It ends with its input, and so with the test or this process. */
export function converse(t: Test, script: string, words: string[], environment: Record<string, string>): Conversation {
  const child = spawn(python, ['-B', script, ...words], {
    env: { ...process.env, ...environment },
    stdio: ['pipe', 'pipe', 'inherit']
  })
  const closed = once(child, 'close')
  child.stdin.on('error', () => {})
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  t.teardown(async () => {
    child.stdin.end()
    await closed
  })
  return {
    async ask(question) {
      child.stdin.write(`${JSON.stringify(question)}\n`)
      const { value, done } = await answers.next()
      if (done) throw new Error(`${script} ended without an answer`)
      return JSON.parse(value)
    }
  }
}
