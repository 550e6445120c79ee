/** The checks of layers, states and docs: they must pass here, and must notice what they are there for. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { complaintsAbout } from '../../scripts/support/table.ts'
import type { Row } from '../../scripts/support/table.ts'

/** Seen from `dist/test/docs`. */
const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

interface Answer {
  readonly status: number | null
  readonly output: string
}

function check(script: string, root: string, ...options: string[]): Answer {
  const path = join(ROOT, 'dist', 'scripts', `${script}.js`)
  const { status, stdout, stderr } = spawnSync(process.execPath, [path, ...options, root], {
    encoding: 'utf8',
  })
  return { status, output: stdout + stderr }
}

/** Runs a script over a tree of `files` that lives as long as the call. */
function checkTree(script: string, files: Readonly<Record<string, string>>, ...options: string[]): Answer {
  const root = mkdtempSync(join(tmpdir(), 'sockswitch-docs-'))
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true })
      writeFileSync(join(root, name), text)
    }
    return check(script, root, ...options)
  } finally {
    rmSync(root, { recursive: true })
  }
}

test('the support table is drawn from its rows as they are', () => {
  const { status, output } = check('draw-support', ROOT, '--check')
  assert.equal(status, 0, output)
})

/** What is wrong with rows about a class with the members `a` and `b`, where one test is called `t`. */
const ROWS: readonly (readonly [rows: readonly Row[], complaints: readonly RegExp[]])[] = [
  [[{ members: ['a', 'b'], state: 'same', tests: ['t'] }], []],
  [[{ members: ['*'], state: 'apart' }], [/no row tells of 'a'/, /no row tells of 'b'/, /Node has no '\*'/]],
  [[{ members: ['a'], state: 'apart' }], [/no row tells of 'b'/]],
  [[{ members: ['a', 'b', 'c'], state: 'apart' }], [/Node has no 'c'/]],
  [[{ members: ['a', 'b', 'c'], state: 'untested', since: 99 }], []],
  [
    [
      { members: ['a', 'b'], state: 'apart' },
      { members: ['b'], state: 'apart' },
    ],
    [/two rows tell of 'b'/],
  ],
  [[{ members: ['a', 'b'], state: 'same', tests: ['t', 'u'] }], [/no test is called 'u'/]],
  [[{ members: ['a', 'b'], state: 'same' }], [/no test shows it/]],
  [
    [{ members: ['a', 'b', 'c'], state: 'same', since: 99, tests: ['t'] }],
    [/none of the files .* names 'c'/],
  ],
  [[{ members: ['a', 'b'], state: 'differs', tests: ['t'] }], [/not said how it differs/]],
  [[{ members: ['a', 'b'], state: 'tcpip' }], [/has no reason/]],
  [[{ members: ['a', 'b'], state: 'tcpip', reason: 'because' }], [/'because' is no reason/]],
]

for (const [rows, expected] of ROWS) {
  test(`support: ${JSON.stringify(rows)} ${expected.length === 0 ? 'is right' : 'is noticed'}`, () => {
    const tests = new Map([['t', { path: 'test/t.test.ts', text: 'a.b()' }]])
    const found = complaintsAbout({ of: 'members x.X', rows }, ['a', 'b'], tests, true)
    assert.equal(found.length, expected.length, found.join('\n'))
    for (const [at, complaint] of expected.entries()) assert.match(found[at] ?? '', complaint)
  })
}

test('the states are drawn from the tables as they are', () => {
  assert.deepEqual(check('draw-states', ROOT, '--check').status, 0)
  const stale = checkTree('draw-states', { 'docs/states.md': '# States\n' }, '--check')
  assert.equal(stale.status, 1)
  assert.match(stale.output, /does not show the tables/)
  assert.equal(checkTree('draw-states', { 'README.md': '' }, '--check').status, 1, 'a missing page passes')
  const table = 'export const TRANSITIONS = {} as const satisfies Table'
  assert.match(
    checkTree('draw-states', { 'src/x.ts': table }, '--check').output,
    /src\/x\.ts has other tables/,
  )
})

const LAYERS: readonly (readonly [
  what: string,
  file: string,
  text: string,
  complaint: RegExp | undefined,
])[] = [
  ['a provider uses the interface', 'src/providers/a/x.ts', "import '../../spi/y.ts'", undefined],
  ['a root uses everything', 'src/net.ts', "import './faces/net/x.ts'", undefined],
  [
    'the interface uses the switch',
    'src/spi/x.ts',
    "\nimport '../switch/y.ts'",
    /src\/spi\/x\.ts:2 .*src\/switch/,
  ],
  ['the interface uses Node', 'src/spi/x.ts', "import 'node:net'", /node:net/],
  ['a provider uses another', 'src/providers/a/x.ts', "import '../b/y.ts'", /x\.ts:1 .*src\/providers\/b/],
  [
    'the switch uses a provider',
    'src/switch/x.ts',
    "import type { Y } from '../providers/a/y.ts'",
    /x\.ts:1/,
  ],
  ['the switch exports a face', 'src/switch/x.ts', "export * from '../faces/net/y.ts'", /x\.ts:1/],
  ['a face loads native code', 'src/faces/net/x.ts', "await import('../../native/load.ts')", /x\.ts:1/],
  [
    'the suite uses a provider',
    'conformance/x.ts',
    "import '../src/providers/a/y.ts'",
    /conformance\/x\.ts:1/,
  ],
  ['a face uses another', 'src/faces/wsk/x.ts', "import '../net/y.ts'", /x\.ts:1 .*src\/faces\/net/],
  ['the switch uses the package', 'src/switch/x.ts', "import 'sockswitch/net'", /x\.ts:1 .*sockswitch\/net/],
  ['a folder without a layer', 'src/other/x.ts', '', /belongs to no layer/],
]

for (const [what, file, text, complaint] of LAYERS) {
  test(`layers: ${what}`, () => {
    const files = { 'src/base/a.ts': '', 'conformance/a.ts': '', [file]: text }
    const { status, output } = checkTree('check-layers', files)
    assert.equal(status, complaint === undefined ? 0 : 1, output)
    if (complaint !== undefined) assert.match(output, complaint)
  })
}

const DOCS: readonly (readonly [what: string, file: string, text: string, complaint: RegExp])[] = [
  ['a code without a heading', 'docs/errors.md', '# Errors\n', /no heading '## WSAECONNRESET'/],
  ['a heading without a reason', 'docs/reasons.md', '## because\n', /the heading '## because'/],
  [
    'a variable that no page tells of',
    'README.md',
    'SOCKSWITCH_RULE',
    /no page tells of .* SOCKSWITCH_RULES\n/,
  ],
  ['a size that is not said', 'docs/shared-memory.md', '', /does not say 192, which is the session header/],
  ['a dead link', 'README.md', 'See\n[there](docs/there.md).\n', /README\.md:2 links to 'docs\/there\.md'/],
  ['a dead anchor', 'README.md', '[there](docs/reasons.md#there)\n', /no heading there is called that/],
  [
    'a snippet that does not compile',
    'README.md',
    '```ts runnable\n\nlet x: = 1\n```\n',
    /README\.md:3 does not compile/,
  ],
]

for (const [what, file, text, complaint] of DOCS) {
  test(`docs: ${what}`, () => {
    const { status, output } = checkTree('check-docs', { 'docs/reasons.md': '', [file]: text })
    assert.equal(status, 1)
    assert.match(output, complaint)
  })
}

test('docs: links and snippets inside code are not links', () => {
  const text = '`[a](b.md)`\n\n```md\n[a](b.md)\n```\n\n```ts\nlet x: = 1\n```\n'
  const { output } = checkTree('check-docs', { 'README.md': text })
  assert.doesNotMatch(output, /README\.md/)
})

test('every script and bench refuses an option that it does not know in one line, and does nothing', async () => {
  const files = ['scripts', 'bench'].flatMap((folder) =>
    readdirSync(join(ROOT, 'dist', folder))
      .filter((name) => name.endsWith('.js'))
      .map((name) => join('dist', folder, name)),
  )
  const shells = ['arm64', 'verbs/bench', 'verbs/libfabric2', 'verbs/test'].map(
    (name) => `scripts/${name}.sh`,
  )
  const all = [...files, 'scripts/ok.mjs', 'scripts/build.mjs', 'scripts/model.mjs', ...shells]
  assert.ok(all.length > 12)
  await Promise.all(
    all.map(async (path) => {
      const { status, output } = await ended(path, '--nope')
      assert.notEqual(status, 0, path)
      assert.match(output, /^Cannot [a-z0-9 ]+: .*'--nope'/, path)
    }),
  )
})

/** Runs the program at `path`; how it ended. */
async function ended(path: string, ...args: string[]): Promise<Answer> {
  const runs = path.endsWith('.sh') ? 'bash' : process.execPath
  const child = spawn(runs, [join(ROOT, path), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, output }
}
