/** Random numbers that a seed repeats (mulberry32): good enough to vary a test, small enough to trust. */
export class Random {
  readonly seed: number
  #state: number

  constructor(seed: number) {
    this.seed = seed >>> 0
    this.#state = this.seed
  }

  /** From 0 inclusive to 1 exclusive. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  /** Like {@link between}, with every order of magnitude as likely as the next: sizes that tests want small and large. */
  sized(least: number, most: number): number {
    const size = Math.floor(least * Math.pow((most + 1) / least, this.next()))
    return Math.min(most, Math.max(least, size))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.between(0, items.length - 1)]
    if (item === undefined) throw new RangeError('Cannot pick: the list is empty')
    return item
  }

  /** An independent stream, so that what one part of a test draws does not shift what another gets. */
  fork(): Random {
    return new Random(Math.floor(this.next() * 0x1_0000_0000))
  }
}

/**
 * SOCKSWITCH_SEED when it is set, else a new seed. For tests, which print it so that a failure can be repeated; the
 * programs they start get it as an argument.
 */
export function chosenSeed(): number {
  const given = process.env['SOCKSWITCH_SEED']
  return given === undefined
    ? 1 + Math.floor(Math.random() * 0xffff_fffe)
    : positive('SOCKSWITCH_SEED', given)
}

/** The positive whole number in the environment variable `name`, or `otherwise`. */
export function numberFromEnv(name: string, otherwise: number): number {
  const given = process.env[name]
  if (given === undefined || given === '') return otherwise
  return positive(name, given)
}

/** The positive whole number in the command line argument `text`, which `name` names. */
export function positive(name: string, text: string | undefined): number {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new RangeError(`Cannot use ${name}: '${text ?? ''}' is not a positive whole number`)
}
