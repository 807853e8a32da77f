#!/usr/bin/env node
import module from 'node:module'
import { constants } from 'node:os'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Io } from './command.js'
import { runCommand } from './program.js'

const io: Io = {
  out: (text) => void process.stdout.write(`${text}\n`),
  error: (text) => void process.stderr.write(`${text}\n`),
  isInteractive: process.stdin.isTTY === true,
  async ask(prompt) {
    const terminal = createInterface({ input: process.stdin, output: process.stderr })
    try {
      return await terminal.question(prompt)
    } finally {
      terminal.close()
    }
  },
  async secret(prompt) {
    if (!process.stdin.isTTY) {
      let text = ''
      for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk
      return text.replace(/\r?\n$/, '')
    }
    process.stderr.write(prompt)
    const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
    const terminal = createInterface({ input: process.stdin, output: silent, terminal: true })
    try {
      return await terminal.question('')
    } finally {
      terminal.close()
      process.stderr.write('\n')
    }
  }
}

// From Node 22 on, what was compiled is kept for the next start: beside the program, since who can write there can change
// the program as well. Where nobody may write there is none.
const { enableCompileCache } = module as { enableCompileCache?: (folder: string) => unknown }
enableCompileCache?.(fileURLToPath(new URL('../../compile-cache', import.meta.url)))

const words = process.argv.slice(2)
// Who reads what a command prints may have read enough, as `head` has: it ends then as other programs do, by SIGPIPE.
if (words[0] !== 'serve') {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(128 + constants.signals.SIGPIPE)
  })
}
const exitCode = await runCommand(words, io)
// The service goes on; where it could not begin, that has to be told.
if (words[0] !== 'serve' || exitCode !== 0) process.exitCode = exitCode
