import { runTest } from './run-test.ts'
import type { Setting, TestResult } from './run-test.ts'

export interface Verdict extends TestResult {
  /** It failed beside others and passed alone. */
  readonly onlyAlone: boolean
}

export type Verdicts = ReadonlyMap<string, Verdict>

/** How often a test that failed is tried alone; what passes once is a matter of the machine's load. */
const TRIES_ALONE = 2

/** Runs `files`: parallel/ `jobs` at a time, then sequential/ one by one, then again, alone, what failed. */
export async function runAll(files: readonly string[], jobs: number, setting: Setting): Promise<Verdicts> {
  const verdicts = new Map<string, Verdict>()
  const parallel = files.filter((file) => file.startsWith('parallel/'))
  const sequential = files.filter((file) => !file.startsWith('parallel/'))
  const queue = parallel[Symbol.iterator]()
  const lanes = Array.from({ length: Math.min(jobs, parallel.length) }, async (_, lane) => {
    for (const file of queue) verdicts.set(file, first(await runTest(file, lane, setting)))
  })
  await Promise.all(lanes)
  for (const file of sequential) verdicts.set(file, first(await runTest(file, 0, setting)))

  const failed = files.filter((file) => verdicts.get(file)?.outcome === 'fail')
  for (const file of failed) {
    let again = await runTest(file, 0, setting)
    for (let tries = 1; again.outcome === 'fail' && tries < TRIES_ALONE; tries += 1) {
      again = await runTest(file, 0, setting)
    }
    verdicts.set(file, { ...again, onlyAlone: again.outcome !== 'fail' })
  }
  return verdicts
}

function first(result: TestResult): Verdict {
  return { ...result, onlyAlone: false }
}
