import { readFileSync } from 'node:fs'

const folder = new URL('./assets/passwords/', import.meta.url)

/** Known passwords that a policy could let through by length, lower case (NIST SP 800-63B-4 §3.1.1.2, ASVS 6.2.4). */
export function loadBlocklist(): ReadonlySet<string> {
  const lists = ['top-10k-min8.txt', 'all-min15.txt']
  const words = lists.flatMap((list) => readFileSync(new URL(list, folder), 'utf8').toLowerCase().split('\n'))
  return new Set(words.filter((word) => word !== ''))
}
