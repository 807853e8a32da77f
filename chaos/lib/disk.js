// A small disk for the log of Postgres, which can be full.
import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

function run(program, ...words) {
  const { status, stderr, error } = spawnSync(program, words, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} ${words.join(' ')}: ${error?.message ?? stderr.trim()}`)
}

/** Why nothing can be mounted here; undefined where it can. */
export function whyNoMounts(folder) {
  const place = join(folder, 'mount')
  try {
    mkdirSync(place)
    run('mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', place)
    run('umount', place)
    return undefined
  } catch (error) {
    return error.message
  }
}

/** Moves the log of a server that is stopped to a disk of its own, with so many MiB to spare. */
export function openSmallDisk(folder, dataFolder, spare) {
  const place = join(folder, 'small-disk')
  const log = join(dataFolder, 'pg_wal')
  const { uid, gid } = statSync(log)
  const bytes = readdirSync(log, { recursive: true }).reduce((sum, name) => sum + statSync(join(log, name)).size, 0)
  const size = Math.ceil(bytes / 2 ** 20) + spare
  mkdirSync(place)
  run('mount', '-t', 'tmpfs', '-o', `size=${size}m,mode=0700,uid=${uid},gid=${gid}`, 'tmpfs', place)
  // This machine's cp keeps the owner.
  run('cp', '-a', `${log}/.`, place)
  renameSync(log, `${log}.before`)
  symlinkSync(place, log)
  const ballast = join(place, 'ballast')
  return {
    fill() {
      try {
        for (const chunk = Buffer.alloc(2 ** 20); ; ) writeFileSync(ballast, chunk, { flag: 'a' })
      } catch (error) {
        if (error.code !== 'ENOSPC') throw error
      }
    },
    makeRoom: () => rmSync(ballast, { force: true }),
    /** Back to where it was; the server is stopped. */
    moveBack() {
      rmSync(`${log}.before`, { recursive: true })
      run('cp', '-a', place, `${log}.next`)
      rmSync(log)
      renameSync(`${log}.next`, log)
    },
    unmount: () => run('umount', '-l', place)
  }
}
