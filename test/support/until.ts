/** Waits until something holds, by asking again and again; false where it does not within ten seconds. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<boolean> {
  const giveUpAt = performance.now() + 10_000
  while (performance.now() < giveUpAt) {
    if (await holds()) return true
    await new Promise((resolve) => setImmediate(resolve))
  }
  return false
}
