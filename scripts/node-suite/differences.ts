import { readFileSync } from 'node:fs'
import type { Preload } from './options.ts'
import type { Outcome } from './run-test.ts'
import type { Verdicts } from './run-all.ts'

export interface Difference {
  readonly file: string
  readonly stock: Outcome
  readonly switched: Outcome
  readonly exit: string
  readonly firstError: string
}

/** Tests that end otherwise with the switch. One that fails on stock Node says nothing about the switch. */
export function differencesOf(stock: Verdicts, switched: Verdicts): Difference[] {
  return [...switched].flatMap(([file, verdict]) => {
    const before = stock.get(file)
    if (before === undefined || before.outcome === 'fail' || before.outcome === verdict.outcome) return []
    const { exit, firstError } = verdict
    return [{ file, stock: before.outcome, switched: verdict.outcome, exit, firstError }]
  })
}

/** A difference that is known and stays, with its reason; without `nodes` or `preload` it holds for all. */
export interface Expectation {
  readonly reason: string
  /** Versions it holds for, whole or cut short: `24.12.0`, `24`. */
  readonly nodes?: readonly string[]
  readonly preload?: Preload
}

export type Expectations = Readonly<Record<string, Expectation>>

/** @throws when an entry of the file at `path` gives no reason. */
export function readExpectations(path: string): Expectations {
  const expectations = JSON.parse(readFileSync(path, 'utf8')) as Expectations
  for (const [file, { reason }] of Object.entries(expectations as Record<string, Partial<Expectation>>)) {
    if (reason === undefined || reason === '')
      throw new Error(`Cannot read '${path}': '${file}' has no reason`)
  }
  return expectations
}

export interface Judgement {
  readonly unexpected: readonly Difference[]
  readonly expected: readonly (Difference & { readonly reason: string })[]
  /** Files with an expectation that ran and do not differ. */
  readonly stale: readonly string[]
}

/** Holds the differences of a run against those expected of Node `version`; only files that ran count. */
export function judgeDifferences(
  differences: readonly Difference[],
  expectations: Expectations,
  ran: ReadonlySet<string>,
  version: string,
  preload: Preload,
): Judgement {
  const valid = new Map(Object.entries(expectations).filter(([, entry]) => holdsFor(entry, version, preload)))
  const differing = new Set(differences.map(({ file }) => file))
  return {
    unexpected: differences.filter(({ file }) => !valid.has(file)),
    expected: differences.flatMap((difference) => {
      const entry = valid.get(difference.file)
      return entry === undefined ? [] : [{ ...difference, reason: entry.reason }]
    }),
    stale: [...valid.keys()].filter((file) => ran.has(file) && !differing.has(file)),
  }
}

function holdsFor(entry: Expectation, version: string, preload: Preload): boolean {
  if (entry.preload !== undefined && entry.preload !== preload) return false
  return entry.nodes?.some((node) => `${version}.`.startsWith(`${node}.`)) ?? true
}
