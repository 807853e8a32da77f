/** A reading of another clock, between two readings of one's own that never steps. All in milliseconds. */
export interface ClockReading {
  readonly askedAt: number
  readonly answeredAt: number
  /** What the other clock said, since 1970. */
  readonly time: number
}

/**
 * What to add to the own clock to have the other one. A reading says only that the truth lies between two bounds, as far
 * apart as the answer took; an offset within them stands, so that a slow answer does not make time jump.
 */
export function adjustOffset(offset: number | undefined, { askedAt, answeredAt, time }: ClockReading): number {
  const [least, most] = [time - answeredAt, time - askedAt]
  return offset === undefined ? (least + most) / 2 : Math.min(Math.max(offset, least), most)
}
