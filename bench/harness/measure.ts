import type { Mode } from './modes.ts'
import type { Run } from './run.ts'

/** A number that a run yields, and how to speak of it. */
export interface Metric {
  readonly name: string
  readonly title: string
  readonly unit: 'us' | 'ms' | 'perSecond' | 'GBps' | 'bytes'
  readonly better: 'lower' | 'higher'
  readonly of: (run: Run) => number
}

/** A pair of programs, their arguments, and what is read off their runs. */
export interface Measure {
  readonly name: string
  /** Every measure belongs to a group, which `--only` may name too. */
  readonly group: string
  readonly title: string
  readonly server: AppCall
  readonly client: AppCall
  /** The first is what the others are compared with. */
  readonly modes: readonly Mode[]
  readonly metrics: readonly Metric[]
  readonly durationMs: number
  /** Bytes of a message or write, where results are drawn by size. */
  readonly size?: number
  /** Whether the server's memory is looked at after a garbage collection; such a client collects by itself. */
  readonly collectsGarbage?: boolean
  /** For what takes long and varies little. */
  readonly maxPairs?: number
}

export interface AppCall {
  readonly app: string
  readonly args: readonly string[]
}
