/** Something that is waited for, and how to say that it is there. */
export function moment(): { readonly there: Promise<void>; come(): void } {
  let come = () => {}
  const there = new Promise<void>((resolve) => {
    come = resolve
  })
  return { there, come }
}
