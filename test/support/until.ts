/** Waits until something holds, by asking again and again; false where it does not within ten seconds. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<boolean> {
  const giveUpAt = performance.now() + 10_000
  while (performance.now() < giveUpAt) {
    if (await holds()) return true
    // Not at once: what is waited for needs the processor too.
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  return false
}
