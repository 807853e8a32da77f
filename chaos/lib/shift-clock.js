// Imported before a replica's own code: its clock is off by SHIFT_CLOCK milliseconds.
const shift = Number(process.env.SHIFT_CLOCK ?? 0)
const RealDate = Date

globalThis.Date = class extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [RealDate.now() + shift] : args))
  }

  static now() {
    return RealDate.now() + shift
  }
}
