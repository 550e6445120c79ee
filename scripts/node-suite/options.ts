import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { GROUPS, isGroup } from './test-files.ts'
import type { Group } from './test-files.ts'

/** A mistake on the command line or in what it points at. Its message is all that the user gets to see. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export type Preload = 'import' | 'require'

export interface Options {
  /** A version or a path. */
  readonly node: string
  /** The `test` directory of a Node checkout. */
  readonly suite: string
  readonly groups: readonly Group[]
  /** Only files whose path holds this text. */
  readonly match: string
  readonly jobs: number
  readonly timeoutMs: number
  readonly preload: Preload
  /** Least share of the eligible connections that must have been switched, 0 to 1. */
  readonly minShare: number
  readonly stockOnly: boolean
  /** Given to every test, stock and switched. */
  readonly env: Readonly<Record<string, string>>
}

export const USAGE = `Usage: npm run node-suite -- --node VERSION|PATH --suite DIR [options]

Runs Node's own tests on stock Node and with sockswitch preloaded, and shows what differs.

  --node VERSION|PATH   a version installed under ~/.cache/sockswitch/node, or a binary
  --suite DIR           a checkout of Node's tests of the same version (it holds test/parallel)
  --only GROUP[,GROUP]  of ${GROUPS.join(', ')} (default: all)
  --match TEXT          only files whose path holds TEXT
  --jobs N              tests at a time (default 2)
  --timeout SECONDS     for one test (default 30)
  --preload HOW         require or import (default require)
  --min-share SHARE     least share of eligible connections that are switched (default 0.9)
  --stock-only          take the stock baseline and stop
  --env NAME=VALUE      for every test; repeatable (NODE_TEST_KNOWN_GLOBALS=0 for a suite older than the binary)
`

/** @throws {UsageError} on anything it does not understand. */
export function parseOptions(argv: readonly string[]): Options {
  const values = parse(argv)
  if (values.node === undefined || values.suite === undefined) {
    throw new UsageError(`Cannot run the suite: --node and --suite are needed\n\n${USAGE}`)
  }
  return {
    node: values.node,
    suite: suiteAt(values.suite),
    groups: groupsOf(values.only),
    match: values.match ?? '',
    jobs: numberIn('--jobs', values.jobs ?? '2', 1, 64, true),
    timeoutMs: numberIn('--timeout', values.timeout ?? '30', 1, 3600, false) * 1000,
    preload: preloadOf(values.preload ?? 'require'),
    minShare: numberIn('--min-share', values['min-share'] ?? '0.9', 0, 1, false),
    stockOnly: values['stock-only'] ?? false,
    env: Object.fromEntries((values.env ?? []).map(pairOf)),
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        node: { type: 'string' },
        suite: { type: 'string' },
        only: { type: 'string' },
        match: { type: 'string' },
        jobs: { type: 'string' },
        timeout: { type: 'string' },
        preload: { type: 'string' },
        'min-share': { type: 'string' },
        'stock-only': { type: 'boolean' },
        env: { type: 'string', multiple: true },
      },
    }).values
  } catch (error) {
    throw new UsageError(`Cannot run the suite: ${(error as Error).message}\n\n${USAGE}`)
  }
}

function suiteAt(directory: string): string {
  const places = [join(resolve(directory), 'test'), resolve(directory)]
  const suite = places.find(
    (place) => existsSync(join(place, 'parallel')) && existsSync(join(place, 'common')),
  )
  if (suite === undefined) {
    throw new UsageError(`Cannot run the suite: '${directory}' holds no test/parallel and test/common`)
  }
  return suite
}

function groupsOf(only: string | undefined): readonly Group[] {
  if (only === undefined) return GROUPS
  return only.split(',').map((name) => {
    if (!isGroup(name)) {
      throw new UsageError(`Cannot run the suite: no group '${name}' (there are ${GROUPS.join(', ')})`)
    }
    return name
  })
}

function preloadOf(how: string): Preload {
  if (how === 'import' || how === 'require') return how
  throw new UsageError(`Cannot run the suite: --preload is 'import' or 'require', not '${how}'`)
}

function numberIn(option: string, text: string, least: number, most: number, whole: boolean): number {
  const value = Number(text)
  if (text !== '' && value >= least && value <= most && (!whole || Number.isInteger(value))) return value
  throw new UsageError(`Cannot run the suite: ${option} is a number from ${least} to ${most}, not '${text}'`)
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at <= 0) throw new UsageError(`Cannot run the suite: --env is NAME=VALUE, not '${text}'`)
  return [text.slice(0, at), text.slice(at + 1)]
}
