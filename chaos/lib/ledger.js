// What was asked and answered, what was acknowledged, and what must be 0.

const percentile = (sorted, share) => (sorted.length === 0 ? Number.NaN : sorted[Math.ceil(sorted.length * share) - 1])

/** The counts of one fault, with the healthy phase that follows it. */
export class Tally {
  requests = 0
  unavailable = 0
  broken = 0
  slowest = 0
  signOuts = []
  otherErrors = []
  beyondBound = []
  unknown = []
  lost = []
  latencies = []
  /** Milliseconds until an access token, and a refresh token, was answered with success. */
  times = { verify: [], refresh: [] }
  /** The longest time in which nobody's refresh was acknowledged. */
  longestPause = 0
  startedAt = performance.now()
  healed = Number.NaN
  /** What else there is to say about it. */
  note = ''
  /** What healed too late. */
  unhealed = []
  /** What was to be faster, and was not. */
  tooSlow = []

  constructor(name) {
    this.name = name
  }

  /** Looks up what ended the sessions of honest clients. */
  async explain(query) {
    const ids = this.signOuts.map(({ session }) => session)
    const rows = await query('select id, ended_because from session where id = any ($1::uuid[])', [ids])
    const because = new Map(rows.map((row) => [row.id, row.ended_because]))
    for (const one of this.signOuts) one.because = because.get(one.session)
  }

  /** The figures of a row, and whether what must be 0 is. */
  row() {
    const sorted = this.latencies.toSorted((a, b) => a - b)
    return {
      name: this.name,
      requests: this.requests,
      unavailable: this.unavailable,
      broken: this.broken,
      signOuts: this.signOuts.length,
      lost: this.lost.length,
      beyondBound: this.beyondBound.length,
      otherErrors: this.otherErrors.length,
      slowest: this.slowest,
      healed: this.healed,
      revoked: sorted.length,
      p50: percentile(sorted, 0.5),
      p99: percentile(sorted, 0.99),
      max: percentile(sorted, 1),
      verifyP99: this.p99('verify'),
      refreshP99: this.p99('refresh'),
      longestPause: this.longestPause,
      unhealed: this.unhealed.length,
      tooSlow: this.tooSlow.length,
      note: this.note
    }
  }

  /** What comes after this is not of what was measured. */
  freezeTimes() {
    this.frozenP99 = { verify: this.p99('verify'), refresh: this.p99('refresh') }
  }

  /** The 99th percentile of `verify` or `refresh`, in milliseconds. */
  p99(what) {
    if (this.frozenP99 !== undefined) return this.frozenP99[what]
    return percentile(
      this.times[what].toSorted((a, b) => a - b),
      0.99
    )
  }

  get faults() {
    const { signOuts, lost, beyondBound, otherErrors, unhealed, tooSlow } = this
    return [
      ...signOuts.map(({ text, because }) => `honest sign-out: ${text}${because ? `, ended: ${because}` : ''}`),
      ...lost.map((text) => `acknowledged and lost: ${text}`),
      ...beyondBound.map((text) => `revoked and accepted: ${text}`),
      ...otherErrors.map((text) => `error: ${text}`),
      ...unhealed.map((text) => `not healed: ${text}`),
      ...tooSlow.map((text) => `too slow: ${text}`)
    ]
  }
}

/** What the service said yes to, to be looked up afterwards. */
export class Ledger {
  #accounts = new Set()
  #alive = new Set()
  #ended = new Set()
  /** The password that each account's owner was last told is theirs; deleted while a change is in doubt. */
  passwords = new Map()

  registered(username, password) {
    this.#accounts.add(username)
    this.passwords.set(username, password)
  }

  signedIn(sessionId) {
    this.#alive.add(sessionId)
  }

  /** From here on the session may be over or not, until its logout is acknowledged. */
  leaving(sessionId) {
    this.#alive.delete(sessionId)
  }

  signedOut(sessionId) {
    this.#ended.add(sessionId)
  }

  /** Looks everything up in the database, and tells what is not there. Forgets what it has looked up for good. */
  async lost(query) {
    const missing = []
    const usernames = [...this.#accounts]
    const found = new Set(
      (await query('select username from account where username = any ($1)', [usernames])).map((row) => row.username)
    )
    for (const username of usernames) if (!found.has(username)) missing.push(`the account ${username}`)
    const alive = [...this.#alive]
    const ended = [...this.#ended]
    const rows = await query('select id, ended_at, ended_because from session where id = any ($1::uuid[])', [
      [...alive, ...ended]
    ])
    const sessions = new Map(rows.map((row) => [row.id, row]))
    for (const id of alive) {
      const session = sessions.get(id)
      if (session === undefined) missing.push(`the session ${id}`)
      else if (session.ended_at !== null && this.#alive.has(id)) {
        missing.push(`the session ${id}, ended: ${session.ended_because}`)
      }
    }
    for (const id of ended) if (sessions.get(id)?.ended_at == null) missing.push(`the logout of ${id}`)
    return missing
  }
}
