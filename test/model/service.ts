/** Two replicas of the real service on one real database, each with a clock that a test moves. */
import { sql } from 'kysely'
import { principalMaxAge } from '../../src/plugins/authenticators.js'
import { fromOwnPage, type Tokens, type World } from '../support/world.js'
import type { Holder, Session, Transport } from './model.js'

export const leeway = 5_000
/** Milliseconds by which a replica's clock may be off in the model, either way: two of them stay within the leeway. */
export const maxOffset = 2_000

export interface Answer {
  readonly status: number
  /** The code of a refusal. */
  readonly code: string | undefined
  readonly refreshToken: string | undefined
  readonly accessToken: string | undefined
  readonly sessionCookie: string | undefined
}

export interface Row {
  readonly id: string
  readonly generation: number
  readonly rotatedAt: number
  readonly idleUntil: number
  readonly endedBecause: string | null
}

export type ReplicaId = 0 | 1
export type Service = Awaited<ReturnType<typeof twoReplicas>>

export async function twoReplicas(w: World, lostResponse: 'recover' | 'strict') {
  const start = Date.parse('2030-01-01T12:00:00Z')
  let time = start
  const offsets: [number, number] = [0, 0]
  const build = (id: ReplicaId) =>
    w.replica((options) => ({
      ...options,
      clock: () => new Date(time + offsets[id]),
      flows: { ...options.flows, rotation: { ...options.flows.rotation, lostResponse } }
    }))
  const apps = [await build(0), await build(1)]
  type Moments = Map<string, { real: number; shown: number }>
  const remembered: [Moments, Moments] = [new Map(), new Map()]
  const app = (id: ReplicaId) => apps[id]!
  const names = { refresh: w.app.refreshCookie.name, session: w.app.sessionCookie.name }

  async function post(id: ReplicaId, url: string, payload: object, headers: Record<string, string> = {}) {
    const response = await app(id).inject({ method: 'POST', url, headers, payload })
    const body = response.body === '' ? {} : (response.json() as Partial<Tokens> & { code?: string })
    const cookie = (name: string) => response.cookies.find((one) => one.name === name)?.value || undefined
    return {
      status: response.statusCode,
      code: body.code,
      refreshToken: body.refresh_token ?? cookie(names.refresh),
      accessToken: body.access_token,
      sessionCookie: cookie(names.session)
    } satisfies Answer
  }

  const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

  return {
    app,
    /** True time: what a replica's clock would show were it right. */
    time: () => time,
    now: (id: ReplicaId) => time + offsets[id],
    wait(milliseconds: number) {
      time += milliseconds
    },
    setOffset(id: ReplicaId, milliseconds: number) {
      offsets[id] = milliseconds
    },
    /** As at the start, but for what is in the database. */
    resetClocks() {
      time = start
      offsets.fill(0)
    },
    async restart(id: ReplicaId) {
      await app(id).close()
      apps[id] = await build(id)
      remembered[id].clear()
    },
    /** Whether a replica remembers who a session cookie speaks for; undefined where it may just have forgotten by age. */
    remembers(id: ReplicaId, cookie: string): boolean | undefined {
      const since = remembered[id].get(cookie)
      if (since === undefined || Math.abs(time + offsets[id] - since.shown) >= principalMaxAge) return false
      return performance.now() - since.real < principalMaxAge - 5_000 ? true : undefined
    },
    remember(id: ReplicaId, cookie: string) {
      remembered[id].set(cookie, { real: performance.now(), shown: time + offsets[id] })
    },
    /** Lets both replicas read what has been revoked up to now. */
    async readRevocations() {
      await Promise.all(apps.map((one) => one.revocations.read()))
    },
    login: (id: ReplicaId, username: string, password: string, transport: Transport, session: boolean) =>
      transport === 'body'
        ? post(id, '/v1/login', { username, password })
        : post(id, '/v1/login', { username, password, refresh_transport: 'cookie', session }, fromOwnPage),
    refresh: (id: ReplicaId, session: Session, token: string, transport = session.transport) =>
      transport === 'body'
        ? post(id, '/v1/refresh', { refresh_token: token })
        : post(id, '/v1/refresh', {}, { ...fromOwnPage, cookie: `${names.refresh}=${token}` }),
    leave: (id: ReplicaId, path: '/v1/logout' | '/v1/logout/all', session: Session, token: string) =>
      session.transport === 'body'
        ? post(id, path, { refresh_token: token })
        : post(id, path, {}, { ...fromOwnPage, cookie: `${names.refresh}=${token}` }),
    leaveByAccessToken: (id: ReplicaId, token: string) => post(id, '/v1/logout', {}, bearer(token)),
    changePassword: (id: ReplicaId, token: string, from: string, to: string) =>
      post(id, '/v1/me/password', { current_password: from, new_password: to }, bearer(token)),
    /** What a replica's guard says: `good`, or the code of its refusal. */
    async guard(id: ReplicaId, credential: { accessToken: string } | { sessionCookie: string }) {
      const headers =
        'accessToken' in credential
          ? bearer(credential.accessToken)
          : { cookie: `${names.session}=${credential.sessionCookie}` }
      const response = await app(id).inject({ url: '/v1/me', headers })
      return response.statusCode === 200 ? 'good' : (response.json().code as string)
    },
    async rows(sessions: readonly { id: string }[]): Promise<Map<string, Row>> {
      const { rows } = await sql<{
        id: string
        generation: string
        rotated_at: Date
        idle_expires_at: Date
        ended_because: string | null
      }>`
        select id, generation, rotated_at, idle_expires_at, ended_because
        from session where id = any (${sessions.map(({ id }) => id)}::uuid[])`.execute(w.app.db)
      return new Map(
        rows.map((row) => [
          row.id,
          {
            id: row.id,
            generation: Number(row.generation),
            rotatedAt: row.rotated_at.getTime(),
            idleUntil: row.idle_expires_at.getTime(),
            endedBecause: row.ended_because
          }
        ])
      )
    }
  }
}

/** A holder's token of a generation that it has held. */
export function textOf({ session }: Holder, generation: number): string {
  return session.texts.get(generation)!
}
