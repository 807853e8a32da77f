/** How many problems and notes a report repeats; the rest are counted. */
const most = 10_000

export interface Remark {
  /** The line or element; null where it is about the whole file. */
  readonly at: number | null
  readonly because: string
}

export interface SchemeCount {
  users: number
  /** How many of them keep their password. */
  kept: number
  /** Why the others do not; of several reasons the first. */
  because: string | null
}

/** What an import did, or would do. */
export class ImportReport {
  /** Entries of the file, right or wrong. */
  read = 0
  created = 0
  alreadyThere = 0
  /** Entries that cannot be accounts: unreadable, or their names are taken. */
  refused = 0
  /** Entries that are left out on purpose, by the reason. */
  readonly skipped = new Map<string, number>()
  readonly passwords = new Map<string, SchemeCount>()
  /** Names of roles, and whether they were made. */
  readonly roles = new Map<string, 'created' | 'there'>()
  administrators = 0
  tokens = 0
  readonly problems: Remark[] = []
  readonly notes: Remark[] = []
  /** Notes beyond those that are repeated. */
  moreNotes = 0

  constructor(readonly isDryRun: boolean) {}

  refuse(at: number, because: string): void {
    this.refused++
    if (this.problems.length < most) this.problems.push({ at, because })
  }

  note(at: number | null, because: string): void {
    if (this.notes.length < most) this.notes.push({ at, because })
    else this.moreNotes++
  }

  skip(because: string): void {
    this.skipped.set(because, (this.skipped.get(because) ?? 0) + 1)
  }

  countPassword({ scheme, stored, because }: { scheme: string; stored: string | null; because: string | null }): void {
    const count = this.passwords.get(scheme) ?? { users: 0, kept: 0, because: null }
    count.users++
    if (stored !== null) count.kept++
    count.because ??= because
    this.passwords.set(scheme, count)
  }
}
