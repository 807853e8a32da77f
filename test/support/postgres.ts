import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import type { Test } from 'tap'

function fromRunner(name: string): string {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set: run this test with its database, by \`npm test -- <file>\`.`)
  return value
}

async function onServer(query: string): Promise<void> {
  const client = new pg.Client({ connectionString: fromRunner('TEST_DATABASE_URL') })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(query)
  } finally {
    await client.end()
  }
}

/**
 * Does what nobody else may be connected for: another test copies the template at this moment, which Postgres may refuse to
 * both, or a connection that was ended has not gone yet.
 */
async function onServerOnceFree(query: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await onServer(query)
    } catch (error) {
      if ((error as { code?: string }).code !== '55006' || attempt === 100) throw error
      await delay(50)
    }
  }
}

/** A migrated database of a test's own, gone with the test. */
export function freshDatabase(t: Test): Promise<{ url: string; name: string }> {
  return createDatabase(t, fromRunner('TEST_DATABASE_TEMPLATE'))
}

/** A database of a test's own without anything in it. */
export function emptyDatabase(t: Test): Promise<{ url: string; name: string }> {
  return createDatabase(t, 'template0')
}

async function createDatabase(t: Test, template: string): Promise<{ url: string; name: string }> {
  const name = `test_${randomBytes(8).toString('hex')}`
  await onServerOnceFree(`create database ${name} template ${template}`)
  t.teardown(() => onServerOnceFree(`drop database if exists ${name} with (force)`))
  const url = new URL(fromRunner('TEST_DATABASE_URL'))
  url.pathname = `/${name}`
  return { url: url.href, name }
}
