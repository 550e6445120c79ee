/** Checks that imports point only the way docs/architecture.md says. Names file and line of each that does not. */
import { readFileSync, readdirSync } from 'node:fs'
import { join, posix } from 'node:path'

import ts from 'typescript'
import { refuseOptions } from './support/cannot.ts'

/** Which layers each layer may import besides itself. Whatever is not in here is a root, and may import everything. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'src/base': [],
  'src/spi': [],
  'src/native': ['src/base'],
  'src/san': ['src/spi', 'src/base'],
  'src/switch': ['src/spi', 'src/base'],
  'src/faces': ['src/switch', 'src/spi', 'src/base'],
  'src/providers': ['src/san', 'src/spi', 'src/base', 'src/native'],
  conformance: ['src/spi', 'src/base'],
}
const ROOTS = [
  'src/compose',
  'src/cli',
  'src/index.ts',
  'src/register.ts',
  'src/net.ts',
  'src/wsk.ts',
  'src/winsock.ts',
]
/** No input, no output, no state: it imports nothing at all from outside. */
const PURE = 'src/spi'

/** Whose rooms are strangers to each other. */
const APART = ['faces', 'providers']
/** How whoever has installed this package names it: nobody in it does. */
const OURSELVES = /^sockswitch(\/|$)/

/** The layer of a file: `src/switch`, or for the rooms that are strangers to each other `src/providers/shm`. */
function layerOf(path: string): string {
  const [first = '', second = '', third = ''] = path.split('/')
  if (first !== 'src') return first
  return APART.includes(second) ? posix.join(first, second, third) : posix.join(first, second)
}

/** What the rules call a layer. */
function ruleOf(layer: string): string {
  const [first = '', second = ''] = layer.split('/')
  return APART.includes(second) ? posix.join(first, second) : layer
}

function mayImport(from: string, to: string): boolean {
  return from === to || (MAY_IMPORT[ruleOf(from)]?.includes(to) ?? true)
}

function isKnown(layer: string): boolean {
  return ruleOf(layer) in MAY_IMPORT || ROOTS.includes(layer)
}

function complaints(root: string, file: string): readonly string[] {
  const from = layerOf(file)
  if (!isKnown(from)) return [`${file}:1 belongs to no layer`]
  const text = readFileSync(join(root, file), 'utf8')
  return ts.preProcessFile(text, true, true).importedFiles.flatMap(({ fileName, pos }) => {
    const ours = fileName.startsWith('.')
    const to = ours ? layerOf(posix.join(posix.dirname(file), fileName)) : fileName
    if (ours ? mayImport(from, to) : from !== PURE && !OURSELVES.test(fileName)) return []
    return [`${file}:${text.slice(0, pos).split('\n').length} ${from} must not import ${to} ('${fileName}')`]
  })
}

refuseOptions('check the layers')
const root = process.argv[2] ?? process.cwd()
const files = ['src', 'conformance'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => posix.join(folder, name)),
)
const found = files.flatMap((file) => complaints(root, file))
for (const complaint of found) console.error(`check-layers: ${complaint}`)
if (found.length > 0) process.exitCode = 1
else console.log(`check-layers: ${files.length} files, every import points the right way`)
