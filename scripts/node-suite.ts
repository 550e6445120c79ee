/**
 * Runs Node's own tests on stock Node and with sockswitch preloaded, and shows every difference.
 * Node's tests are not part of this repository: `--suite` points at a checkout.
 */
import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Baseline } from './node-suite/baseline.ts'
import { differencesOf, judgeDifferences, readExpectations } from './node-suite/differences.ts'
import type { Judgement } from './node-suite/differences.ts'
import { findNode } from './node-suite/node-binary.ts'
import { parseOptions, UsageError } from './node-suite/options.ts'
import type { Options, Preload } from './node-suite/options.ts'
import {
  betterLines,
  differenceLines,
  groupLine,
  header,
  shareLines,
  stockFailures,
} from './node-suite/report.ts'
import { runAll } from './node-suite/run-all.ts'
import type { Verdict, Verdicts } from './node-suite/run-all.ts'
import { killRunning, runTest } from './node-suite/run-test.ts'
import type { Setting } from './node-suite/run-test.ts'
import { readShare, shareProblem } from './node-suite/switched-share.ts'
import { filesOfGroup } from './node-suite/test-files.ts'

/** The repository, seen from `dist/scripts`. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

const PRELOADS = { require: join(ROOT, 'dist', 'register.cjs'), import: join(ROOT, 'dist', 'register.mjs') }

/** What loads the switch into every process of a test, and into those that they start. */
function nodeOptions(preload: Preload): string {
  const path = PRELOADS[preload]
  if (!existsSync(path)) {
    throw new UsageError(
      `Cannot run the suite: '${path}' is not built; run 'npm run build', or use --stock-only`,
    )
  }
  return preload === 'require' ? `--require ${JSON.stringify(path)}` : `--import ${pathToFileURL(path).href}`
}

async function main(options: Options, scratch: string): Promise<boolean> {
  const node = findNode(options.node)
  const switchedWith = options.stockOnly ? undefined : nodeOptions(options.preload)
  const expectations = readExpectations(join(ROOT, 'scripts', 'node-suite', 'expected.json'))
  const logs = join(ROOT, '.bench', 'node-suite', node.version)
  const stockSetting: Setting = {
    node: node.path,
    suite: options.suite,
    timeoutMs: options.timeoutMs,
    scratch,
    logs: join(logs, 'stock'),
    env: options.env,
    statsFileOf: undefined,
  }
  const statsFileOf = (file: string): string => join(scratch, `stats.${file.replaceAll('/', '_')}`)
  const switchedSetting: Setting = {
    ...stockSetting,
    logs: join(logs, options.preload),
    env: {
      ...options.env,
      ...(switchedWith !== undefined && {
        NODE_OPTIONS: [options.env['NODE_OPTIONS'], switchedWith].filter(Boolean).join(' '),
      }),
    },
    statsFileOf,
  }
  const baseline = new Baseline(node, options.jobs, stockSetting)
  const allStock = new Map<string, Verdict>()
  const allSwitched = new Map<string, Verdict>()

  console.log(`Node ${node.version}, suite ${options.suite}, ${switchedWith ?? 'stock only'}`)
  console.log(header())
  for (const group of options.groups) {
    const files = filesOfGroup(options.suite, group).filter((file) => file.includes(options.match))
    const stock = await baseline.of(files)
    const switched =
      switchedWith === undefined ? undefined : await runAll(files, options.jobs, switchedSetting)
    const share = switched === undefined ? undefined : readShare(files.map(statsFileOf))
    console.log(groupLine(group, stock, switched, differencesOf(stock, switched ?? new Map()), share))
    for (const [file, verdict] of stock) allStock.set(file, verdict)
    for (const [file, verdict] of switched ?? []) allSwitched.set(file, verdict)
  }
  print(stockFailures(allStock))
  if (switchedWith === undefined) return true

  const judge = (): Judgement =>
    judgeDifferences(
      differencesOf(allStock, allSwitched),
      expectations,
      new Set(allSwitched.keys()),
      node.version,
      options.preload,
    )
  // On a busy machine a connection may stay on TCP/IP, and what is expected to differ passes: it has a second try, alone.
  for (const file of judge().stale) {
    allSwitched.set(file, { ...(await runTest(file, 0, switchedSetting)), onlyAlone: false })
  }
  const judgement = judge()
  print([...differenceLines(judgement), ...betterLines(allStock, allSwitched)])
  const switchedEnough = tellShare(allSwitched, statsFileOf, options.minShare)
  const { unexpected, stale } = judgement
  if (unexpected.length > 0) console.log(`logs of what failed: ${switchedSetting.logs}`)
  console.log(`${unexpected.length} unexpected, ${judgement.expected.length} expected, ${stale.length} stale`)
  return unexpected.length === 0 && stale.length === 0 && switchedEnough
}

function tellShare(switched: Verdicts, statsFileOf: (file: string) => string, minShare: number): boolean {
  const share = readShare([...switched.keys()].map(statsFileOf))
  print(shareLines(share))
  const problem = shareProblem(share, minShare)
  if (problem !== undefined) console.log(`NOT SWITCHED: ${problem}`)
  return problem === undefined
}

function print(lines: readonly string[]): void {
  for (const line of lines) console.log(line)
}

const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'node-suite-')))
process.on('exit', () => {
  killRunning()
  rmSync(scratch, { recursive: true, force: true, maxRetries: 3 })
})
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(signal, () => process.exit(code))
}

try {
  process.exitCode = (await main(parseOptions(process.argv.slice(2)), scratch)) ? 0 : 1
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(error.message)
  process.exitCode = 2
}
