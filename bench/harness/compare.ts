import type { Measure, Metric } from './measure.ts'
import type { Mode } from './modes.ts'
import type { Progress } from './progress.ts'
import { carriageFault, runOnce, type Run, type RunOptions } from './run.ts'
import { spreadOf, type Spread } from './statistics.ts'

/** Every run of one measure, round by round: each round holds one run of each mode. */
export interface Comparison {
  readonly measure: Measure
  readonly rounds: readonly Round[]
  /** Why there are fewer rounds than asked for. */
  readonly failure?: string
}

export type Round = Readonly<Partial<Record<Mode, Run>>>

export function roundsOf(measure: Measure, pairs: number): number {
  return Math.min(pairs, measure.maxPairs ?? pairs)
}

/** Runs the modes in turn, each round in another order, so that a drift of the machine favours none. */
export async function compare(
  measure: Measure,
  pairs: number,
  options: RunOptions,
  progress: Progress,
): Promise<Comparison> {
  const rounds: Round[] = []
  const count = roundsOf(measure, pairs)
  for (let round = 0; round < count; round += 1) {
    const runs: Partial<Record<Mode, Run>> = {}
    rounds.push(runs)
    for (const mode of rotated(measure.modes, round)) {
      progress.next(measure.title, `${mode}, round ${round + 1} of ${count}`)
      try {
        runs[mode] = await runOnce(measure, mode, options)
      } catch (error) {
        const failure = `${mode}: ${error instanceof Error ? error.message : String(error)}`
        progress.note(`${measure.title}: ${failure}`)
        return { measure, rounds, failure }
      }
    }
  }
  return { measure, rounds }
}

function rotated<T>(values: readonly T[], by: number): T[] {
  const at = by % values.length
  return [...values.slice(at), ...values.slice(0, at)]
}

/** The values of a metric in one mode, or undefined where there is none. */
export function valueOf({ rounds }: Comparison, metric: Metric, mode: Mode): Spread | undefined {
  const values = rounds.flatMap((round) => (round[mode] === undefined ? [] : [metric.of(round[mode])]))
  return values.length === 0 ? undefined : spreadOf(values)
}

/** How many times better `mode` is than `base`: computed round by round, so that both saw the same machine. */
export function gainOf({ rounds }: Comparison, metric: Metric, mode: Mode, base: Mode): Spread | undefined {
  const gains = rounds.flatMap((round) => {
    if (round[mode] === undefined || round[base] === undefined) return []
    const ratio = metric.of(round[mode]) / metric.of(round[base])
    return [metric.better === 'lower' ? 1 / ratio : ratio]
  })
  return gains.length === 0 ? undefined : spreadOf(gains)
}

/** Runs that were not carried the way their mode says: their numbers mean nothing. */
export function carriageFaults(comparisons: readonly Comparison[]): string[] {
  const faults = comparisons.flatMap(({ measure, rounds }) =>
    rounds.flatMap((round) =>
      Object.values(round).flatMap((run) => {
        const fault = carriageFault(run)
        return fault === undefined ? [] : [`${measure.title}, ${run.mode}: ${fault}`]
      }),
    ),
  )
  return [...new Set(faults)]
}
