import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { freshDatabase } from '../support/postgres.js'
import { main, scratchFolder, startService } from '../support/service.js'

t.test('the curl session of docs/oauth.md works word for word', async (t) => {
  const document = await readFile(new URL('../../docs/oauth.md', import.meta.url), 'utf8')
  const [, session] = /```bash\n([\s\S]*?)```/.exec(document)!
  const { url } = await freshDatabase(t)
  const folder = scratchFolder(t)
  const environment = { DATABASE_URL: url, AUTH_DATA_DIR: join(folder, 'data') }
  const service = await startService(t, environment)

  // npx finds the program where it is installed; here it is the one that was built.
  const npx = `npx() { shift; "${process.execPath}" "${main}" "$@"; }\n`
  const env = { ...process.env, ...environment, KEYTURN_URL: service.url }
  const shell = spawn('bash', ['-euo', 'pipefail'], { cwd: folder, env })
  let output = ''
  for (const stream of [shell.stdout, shell.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  shell.stdin.end(npx + session)
  const [code] = await once(shell, 'close')
  t.equal(code, 0, output)
  const steps = [
    '{"access_token":"eyJ[^"]+","token_type":"Bearer","expires_in":\\d+,"scope":"invoices.read"}',
    '{"active":true,[^}]*"client_id":"ktc_\\w+"[^}]*}',
    'eyJ[\\w-]+\\.[\\w-]+\\.[\\w-]+',
    '200\\n{"active":false}',
    '{"access_token":"eyJ[^"]+"[^}]*"refresh_token":"ktr_[^}]*}',
    '200\\n{"error":"invalid_grant"[^}]*}$'
  ]
  t.match(output, new RegExp(`^${steps.join('')}`))
})
