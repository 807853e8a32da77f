// The network of one replica: a namespace of its own with a cable that can be pulled, where the system lets us have one.
import { spawnSync } from 'node:child_process'
import { openLink } from './link.js'

function ip(...words) {
  const { status, stderr, error } = spawnSync('ip', words, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`ip ${words.join(' ')}: ${error?.message ?? stderr.trim()}`)
}

/** Why there can be no namespaces here; undefined where there can. */
export function whyNoNamespaces() {
  const name = `keyturn-${process.pid}`
  try {
    ip('netns', 'add', name)
    ip('netns', 'del', name)
    return undefined
  } catch (error) {
    return error.message
  }
}

/** A namespace with one address, and this side's address of the cable to it. */
export function openNamespace(number) {
  const name = `keyturn-${process.pid}-${number}`
  const cable = `kt${process.pid}n${number}`
  const subnet = `10.213.${process.pid % 256}`
  const [here, there] = [`${subnet}.${number * 4 + 1}`, `${subnet}.${number * 4 + 2}`]
  ip('netns', 'add', name)
  const close = () => ip('netns', 'del', name)
  try {
    ip('link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
    ip('addr', 'add', `${here}/30`, 'dev', cable)
    ip('link', 'set', cable, 'up')
    ip('-n', name, 'addr', 'add', `${there}/30`, 'dev', 'eth0')
    ip('-n', name, 'link', 'set', 'lo', 'up')
    ip('-n', name, 'link', 'set', 'eth0', 'up')
  } catch (error) {
    close()
    throw error
  }
  return {
    /** Where the replica finds what is outside. */
    outside: here,
    /** Where the replica listens. */
    inside: there,
    /** Where others find the replica's port. */
    door: (port) => ({ host: there, port }),
    /** The command that runs another within. */
    prefix: ['ip', 'netns', 'exec', name],
    /** Pulls the cable: nobody is told, and nothing comes through. */
    async cut() {
      ip('-n', name, 'link', 'set', 'eth0', 'down')
    },
    async mend() {
      ip('-n', name, 'link', 'set', 'eth0', 'up')
    },
    close
  }
}

/** The same without a namespace: links to and from the replica, on which nothing comes through. */
export async function openForwarded(port, linkToDatabase) {
  const inbound = await openLink(() => ({ host: '127.0.0.1', port }))
  return {
    outside: '127.0.0.1',
    inside: '127.0.0.1',
    door: () => ({ host: '127.0.0.1', port: inbound.port }),
    prefix: [],
    async cut() {
      inbound.hang()
      linkToDatabase().hang()
    },
    async mend() {
      await inbound.mend()
      await linkToDatabase().mend()
    },
    close: () => inbound.close()
  }
}
