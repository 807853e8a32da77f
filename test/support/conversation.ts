import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'

export interface Conversation {
  /** One line of JSON in, one out. One at a time. */
  ask(question: object): Promise<unknown>
}

export interface Program {
  readonly command: string
  readonly words: readonly string[]
  readonly folder?: string
  readonly environment?: Readonly<Record<string, string>>
}

/** Starts a program that answers line by line. It ends with its input, and so with the test or this process. */
export function converse(t: Test, { command, words, folder, environment = {} }: Program): Conversation {
  const child = spawn(command, words, {
    ...(folder === undefined ? {} : { cwd: folder }),
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
      if (done) throw new Error(`${command} ${words.join(' ')} ended without an answer`)
      return JSON.parse(value)
    }
  }
}
