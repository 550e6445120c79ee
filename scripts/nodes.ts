/**
 * `npm run test:nodes`: the project's own tests on every version of Node.js that is supported. The binaries are those that
 * npm's package `node` brings, kept in the cache folder.
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import Table from 'cli-table3'
import { program } from 'commander'
import { complainAs } from './support/cannot.ts'
import { Progress } from '../bench/harness/progress.ts'
import { findNode, installNode } from './node-suite/node-binary.ts'
import { TapReader } from './nodes/tap.ts'
import { installDeclarations } from './support/declared.ts'

/** The repository, seen from `dist/scripts`. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The oldest that is supported, and the newest of each line that were tried. */
const VERSIONS = ['20.11.1', '22.23.3', '24.12.0', '26.10.0']

complainAs(program, 'run the tests')
  .name('test:nodes')
  .description("Runs the project's tests on every supported version of Node.js.")
  .option('--only <versions>', 'versions, separated by commas', VERSIONS.join())
  .option('--match <text>', 'only test files whose path holds this text', '')
  .parse()
const options = program.opts<{ only: string; match: string }>()

const files = testFiles(join(ROOT, 'dist')).filter((path) => path.includes(options.match))
if (files.length === 0) program.error(`no test file's path holds '${options.match}'`)
const versions = options.only.split(',')
for (const version of versions) {
  installNode(version)
  // The support table is held against what this version has.
  installDeclarations(version)
}

const progress = new Progress(versions.length * files.length)
const results = new Map<string, TapReader>()
for (const version of versions) results.set(version, await runTests(version))
progress.end()

const table = new Table({
  head: ['Node.js', 'passed', 'failed', 'skipped', 'seconds'],
  colAligns: ['left', 'right', 'right', 'right', 'right'],
  style: { head: [], border: [], compact: true },
})
for (const [version, { passed, failed, skipped, seconds }] of results) {
  table.push([version, passed, failed.length, skipped, Math.round(seconds)])
}
console.log(table.toString())
for (const [version, { failed }] of results) {
  for (const { name, why } of failed) console.log(`FAILED on ${version}: ${name}\n  ${why.join('\n  ')}`)
}
process.exitCode = [...results.values()].every(({ failed, passed }) => failed.length === 0 && passed > 0)
  ? 0
  : 1

/** One version after the other, file by file, so that a run shows where it is. */
async function runTests(version: string): Promise<TapReader> {
  const node = findNode(version)
  const reader = new TapReader()
  const queue = files[Symbol.iterator]()
  const lane = async (): Promise<void> => {
    for (const file of queue) {
      progress.next(`Node ${version}`, `${file.slice(ROOT.length)}${failures(reader)}`)
      await runFile(node.path, file, reader)
    }
  }
  const start = performance.now()
  await Promise.all([lane(), lane()])
  reader.seconds = (performance.now() - start) / 1000
  return reader
}

function failures({ failed }: TapReader): string {
  return failed.length === 0 ? '' : `, ${failed.length} failed`
}

async function runFile(node: string, file: string, reader: TapReader): Promise<void> {
  const child = spawn(node, ['--test', '--test-reporter=tap', file], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const take = reader.file(file.slice(ROOT.length))
  createInterface({ input: child.stdout }).on('line', take)
  const code = await new Promise((resolve) => child.on('close', resolve))
  reader.ended(file.slice(ROOT.length), code)
}

function testFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) return testFiles(path)
      return entry.name.endsWith('.test.js') ? [path] : []
    })
    .sort()
}
