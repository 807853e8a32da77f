/** What happens to the page. `restored`: out of the back/forward cache, where it heard nothing. */
export type PageEvent = 'visible' | 'hidden' | 'online' | 'restored' | 'leaving'

/** Whether somebody looks at it; always where there is no page. */
export const isVisible = (): boolean => globalThis.document?.visibilityState !== 'hidden'

/** Tells what happens to the page until the function that it returns is called. */
export function watchPage(tell: (event: PageEvent) => void): () => void {
  const watching = new AbortController()
  const watch = (target: EventTarget | undefined, type: string, run: (event: Event) => unknown) =>
    target?.addEventListener?.(type, run, watching)
  const ifPersisted = (event: PageEvent) => (shown: Event) => (shown as PageTransitionEvent).persisted && tell(event)
  watch(globalThis.document, 'visibilitychange', () => tell(isVisible() ? 'visible' : 'hidden'))
  watch(globalThis, 'pageshow', ifPersisted('restored'))
  watch(globalThis, 'pagehide', ifPersisted('leaving'))
  watch(globalThis, 'online', () => tell('online'))
  return () => watching.abort()
}
