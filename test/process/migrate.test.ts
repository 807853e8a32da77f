import { join } from 'node:path'
import t from 'tap'
import { migrationNames } from '../../db/migrate.js'
import { emptyDatabase } from '../support/postgres.js'
import { keyturn, scratchFolder } from '../support/service.js'

t.test('twenty processes that migrate at once do it once', async (t) => {
  const { url } = await emptyDatabase(t)
  const environment = { DATABASE_URL: url, AUTH_DATA_DIR: join(scratchFolder(t), 'data') }
  const runs = await Promise.all(Array.from({ length: 20 }, () => keyturn(['migrate', 'up', '--json'], environment)))
  t.same([...new Set(runs.map(({ code }) => code))], [0], runs.map(({ stderr }) => stderr).join(''))
  const applied = runs.map(({ stdout }) => JSON.parse(stdout).applied).filter((names) => names.length > 0)
  t.same(applied, [await migrationNames()])
})
