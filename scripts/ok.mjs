// The gate: everything that must hold before a commit. `npm test` and .ci/run are this and nothing else.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

if (process.argv.length > 2) {
  console.error(`Cannot run the checks: there is no option '${process.argv[2]}'`)
  process.exit(2)
}

const root = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..')

/** Test files below dist/, found without a glob library: Node 20 has none. */
function testFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return testFiles(path)
    return entry.name.endsWith('.test.js') ? [path] : []
  })
}

const node = process.execPath
const steps = [
  ['build', [node, 'scripts/build.mjs', '--no-native']],
  [
    'lint',
    [
      node,
      'node_modules/eslint/bin/eslint.js',
      '.',
      '--cache',
      '--cache-location',
      'node_modules/.cache/eslint/',
    ],
  ],
  [
    'format',
    [
      node,
      'node_modules/prettier/bin/prettier.cjs',
      '.',
      '--check',
      '--cache',
      '--cache-location',
      'node_modules/.cache/prettier/formatted',
    ],
  ],
  ['layers', [node, 'dist/scripts/check-layers.js']],
  ['contract', [node, 'dist/scripts/check-contract.js']],
  ['states', [node, 'dist/scripts/draw-states.js', '--check']],
  ['support', [node, 'dist/scripts/draw-support.js', '--check']],
  ['docs', [node, 'dist/scripts/check-docs.js']],
  ['requirements', [node, 'dist/scripts/trace-requirements.js', '--quiet']],
  ['api', [node, 'node_modules/typedoc/bin/typedoc', '--options', 'scripts/typedoc.mjs', '--emit', 'none']],
]

let failed = false
const run = (name, [command, ...args]) => {
  const start = Date.now()
  console.log(`\n── ${name}`)
  const { status } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  const ok = status === 0
  failed ||= !ok
  console.log(`── ${name} ${ok ? 'ok' : 'FAILED'} (${((Date.now() - start) / 1000).toFixed(1)} s)`)
  return ok
}

for (const [name, command] of steps) {
  if (!run(name, command) && name === 'build') process.exit(1)
}
if (!existsSync(join(root, 'prebuilds', `${process.platform}-${process.arch}`))) {
  console.log('\nNo native code for this platform: what needs it was not exercised.')
}
// The spec reporter repeats what failed at the end, where a log that was cut still has it.
run('tests', [
  node,
  '--test',
  '--test-reporter=spec',
  '--test-concurrency=2',
  ...testFiles(join(root, 'dist')).sort(),
])
process.exit(failed ? 1 : 0)
