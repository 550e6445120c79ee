/**
 * Checks what the documentation says against what there is: error codes, reasons, environment variables, sizes of shared memory,
 * relative links with their anchors, and the snippets marked `runnable`, which must compile against the built package.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

import ts from 'typescript'

import { VARIABLES } from '../src/compose/config.ts'
import * as layout from '../src/providers/shm/layout.ts'
import { WSA } from '../src/spi/errors.ts'
import { REASONS } from '../src/switch/reasons.ts'
import { HEADER_BYTES } from '../src/switch/session/layout.ts'
import { refuseOptions } from './support/cannot.ts'

const FENCE = /^```(.*)$/
const HEADING = /^(#+) (.*)$/
/** `[text](target)`, and `![text](target)`; titles are not used here. */
const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g
/** Sizes and places that docs/shared-memory.md and docs/session-protocol.md tell. */
const SIZES: readonly (readonly [what: string, bytes: number])[] = [
  ['segment 0', layout.LINK_SEGMENT_BYTES],
  ['a slot segment', layout.SLOT_SEGMENT_BYTES],
  ['entries of the notification ring', layout.NOTIFY_ENTRIES],
  ['the first slot', layout.slotPlace(0).byte],
  ['a slot', layout.SLOT_BYTES],
  ['a region', layout.REGION_BYTES],
  ['connect data', layout.SLOT_HEADER_BYTES + layout.CONNECT_DATA_BYTE],
  ['connections of a link', layout.MAX_CONNECTIONS],
  ['the session header', HEADER_BYTES],
]
/** The first line of a snippet: a language and this word. */
const SNIPPET = /^(ts|js) runnable$/

interface Page {
  readonly file: string
  readonly lines: readonly string[]
  /** Without the fenced blocks: those lines are empty. */
  readonly prose: readonly string[]
  readonly headings: readonly { readonly level: number; readonly text: string }[]
  readonly snippets: readonly Snippet[]
}

interface Snippet {
  readonly line: number
  readonly language: string
  readonly text: string
}

refuseOptions('check the documents')
const root = resolve(process.argv[2] ?? process.cwd())

function pageFiles(): readonly string[] {
  const top = readdirSync(root).filter((name) => name.endsWith('.md'))
  const below = ['docs', 'bench'].flatMap((folder) =>
    existsSync(join(root, folder))
      ? readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
          join(folder, name),
        )
      : [],
  )
  return [...top, ...below.filter((name) => name.endsWith('.md'))].sort()
}

function readPage(file: string): Page {
  const prose: string[] = []
  const headings: { level: number; text: string }[] = []
  const snippets: Snippet[] = []
  let fence: { readonly line: number; readonly info: string; readonly lines: string[] } | undefined
  const lines = readFileSync(join(root, file), 'utf8').split('\n')
  for (const [at, line] of lines.entries()) {
    const info = FENCE.exec(line)?.[1]
    prose.push(fence === undefined && info === undefined ? line : '')
    if (fence === undefined) {
      if (info !== undefined) fence = { line: at + 1, info, lines: [] }
      const heading = HEADING.exec(line)
      if (heading !== null) headings.push({ level: heading[1]?.length ?? 0, text: heading[2] ?? '' })
    } else if (info === undefined) {
      fence.lines.push(line)
    } else {
      const language = SNIPPET.exec(fence.info)?.[1]
      if (language !== undefined) snippets.push({ line: fence.line, language, text: fence.lines.join('\n') })
      fence = undefined
    }
  }
  return { file, lines, prose, headings, snippets }
}

/** What a heading is called in an address: as GitHub makes it. */
function anchor(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-')
}

/** The headings of the second level must be `expected`, in that order. */
function compareHeadings(
  page: Page | undefined,
  file: string,
  expected: readonly string[],
): readonly string[] {
  if (page === undefined) return [`${file} is missing`]
  const found = page.headings.filter(({ level }) => level === 2).map(({ text }) => text.replaceAll('`', ''))
  const missing = expected.filter((text) => !found.includes(text))
  const extra = found.filter((text) => !expected.includes(text))
  const inOrder = missing.length > 0 || extra.length > 0 || found.join() === expected.join()
  return [
    ...missing.map((text) => `${file} has no heading '## ${text}'`),
    ...extra.map((text) => `${file} has the heading '## ${text}', and nothing is called that`),
    ...(inOrder ? [] : [`${file} has its headings in another order than the table, or one of them twice`]),
  ]
}

/** Each size must be mentioned somewhere; digits may be grouped by spaces. */
function checkSizes(pages: readonly (Page | undefined)[]): readonly string[] {
  const text = pages
    .flatMap((page) => page?.prose ?? [])
    .join('\n')
    .replaceAll(/(?<=\d) (?=\d{3}\b)/g, '')
  return SIZES.filter(([, bytes]) => !new RegExp(`\\b${bytes}\\b`).test(text)).map(
    ([what, bytes]) => `docs/shared-memory.md does not say ${bytes}, which is ${what}`,
  )
}

/** Each variable of the environment must be told of, on a page for users. */
function checkVariables(pages: readonly Page[]): readonly string[] {
  const text = pages
    .filter(({ file }) => file === 'README.md' || dirname(file) === 'docs')
    .flatMap(({ lines }) => lines)
    .join('\n')
  return Object.keys(VARIABLES)
    .filter((name) => !new RegExp(`\\b${name}\\b`).test(text))
    .map((name) => `no page tells of the variable ${name}`)
}

function checkLinks(page: Page, pages: ReadonlyMap<string, Page>): readonly string[] {
  return page.prose.flatMap((line, at) =>
    [...line.replaceAll(/`[^`]*`/g, '').matchAll(LINK)].flatMap(([, target = '']) => {
      if (/^[a-z]+:/.test(target)) return []
      const [path = '', hash] = target.split('#')
      const absolute = path === '' ? join(root, page.file) : resolve(root, dirname(page.file), path)
      if (!existsSync(absolute)) return [`${page.file}:${at + 1} links to '${target}', which is not there`]
      const there = pages.get(relative(root, absolute))
      if (hash === undefined || there === undefined) return []
      if (there.headings.some(({ text }) => anchor(text) === hash)) return []
      return [`${page.file}:${at + 1} links to '${target}', and no heading there is called that`]
    }),
  )
}

/** Compiles the snippets, each as a module of its own that sees this package by its name. */
function checkSnippets(pages: readonly Page[]): readonly string[] {
  const places = new Map<string, { readonly page: Page; readonly snippet: Snippet }>()
  for (const page of pages) {
    for (const snippet of page.snippets) {
      places.set(join(root, `snippet-${places.size}.${snippet.language}`), { page, snippet })
    }
  }
  if (places.size === 0) return []
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    moduleDetection: ts.ModuleDetectionKind.Force,
    types: ['node'],
    strict: true,
    noEmit: true,
    allowJs: true,
    checkJs: true,
    skipLibCheck: true,
  }
  const onDisk = ts.createCompilerHost(options)
  const host: ts.CompilerHost = {
    ...onDisk,
    getCurrentDirectory: () => root,
    fileExists: (path) => places.has(path) || onDisk.fileExists(path),
    getSourceFile: (path, version) => {
      const text = places.get(path)?.snippet.text
      return text === undefined
        ? onDisk.getSourceFile(path, version)
        : ts.createSourceFile(path, text, version)
    },
  }
  const program = ts.createProgram([...places.keys()], options, host)
  return ts.getPreEmitDiagnostics(program).map(({ file, start, messageText }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, ' ')
    const place = places.get(file?.fileName ?? '')
    if (file === undefined || place === undefined) return text
    const { line } = file.getLineAndCharacterOfPosition(start ?? 0)
    return `${place.page.file}:${place.snippet.line + line + 1} does not compile: ${text}`
  })
}

const pages = pageFiles().map(readPage)
const byFile = new Map(pages.map((page) => [page.file, page]))
const snippets = pages.reduce((sum, page) => sum + page.snippets.length, 0)
const found = [
  ...compareHeadings(byFile.get('docs/errors.md'), 'docs/errors.md', Object.keys(WSA)),
  ...compareHeadings(byFile.get('docs/reasons.md'), 'docs/reasons.md', Object.keys(REASONS)),
  ...checkSizes([byFile.get('docs/shared-memory.md'), byFile.get('docs/session-protocol.md')]),
  ...checkVariables(pages),
  ...pages.flatMap((page) => checkLinks(page, byFile)),
  ...checkSnippets(pages),
]
for (const complaint of found) console.error(`check-docs: ${complaint}`)
if (found.length > 0) process.exitCode = 1
else console.log(`check-docs: ${pages.length} pages, their links, and ${snippets} snippets are right`)
