import { MAX_PIECE_BYTES } from '../support/pattern.ts'
import { Random } from '../support/random.ts'

/** When the two directions of a connection have their turn. */
export const TURNS = ['together', 'client first', 'server first'] as const

/** What one connection carries; both ends draw the same plan from the seed. */
export interface ConnectionPlan {
  readonly index: number
  readonly turns: (typeof TURNS)[number]
  readonly bytes: { readonly client: number; readonly server: number }
  /** Keys of the two byte streams. */
  readonly keys: { readonly client: number; readonly server: number }
  readonly seed: number
}

/** Splits `bytesEachWay` over `connections` in unequal parts. */
export function plan(seed: number, connections: number, bytesEachWay: number): ConnectionPlan[] {
  const random = new Random(seed)
  const up = shares(random, connections, bytesEachWay)
  const down = shares(random, connections, bytesEachWay)
  return Array.from({ length: connections }, (_, index) => ({
    index,
    turns: random.pick(TURNS),
    bytes: { client: up[index] ?? 0, server: down[index] ?? 0 },
    keys: { client: 2 * index + 1, server: 2 * index + 2 },
    seed: random.between(0, 0xffff_ffff),
  }))
}

function shares(random: Random, count: number, total: number): number[] {
  const weights = Array.from({ length: count }, () => 0.2 + random.next())
  const all = weights.reduce((sum, weight) => sum + weight, 0)
  const parts = weights.map((weight) => Math.floor((total * weight) / all))
  parts[0] = (parts[0] ?? 0) + total - parts.reduce((sum, part) => sum + part, 0)
  return parts
}

/** The size of the next piece: mostly of any order of magnitude, now and then the largest or a single byte. */
export function pieceBytes(random: Random, left: number): number {
  if (random.chance(0.02)) return Math.min(left, MAX_PIECE_BYTES)
  return Math.min(left, random.sized(1, MAX_PIECE_BYTES))
}
