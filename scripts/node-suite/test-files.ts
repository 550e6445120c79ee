import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The families of Node's tests that touch connections, named as their files are: `test-<group>-*`. */
export const GROUPS = [
  'net',
  'http',
  'https',
  'tls',
  'http2',
  'cluster',
  'stream',
  'diagnostics-channel',
  'child-process',
  'worker',
] as const

export type Group = (typeof GROUPS)[number]

export function isGroup(name: string): name is Group {
  return (GROUPS as readonly string[]).includes(name)
}

const FOLDERS = ['parallel', 'sequential'] as const

/** The tests of `group` in the `test` directory `suite`, as paths relative to it: `parallel/test-net-end-close.js`. */
export function filesOfGroup(suite: string, group: Group): string[] {
  return FOLDERS.flatMap((folder) =>
    readdirSync(join(suite, folder))
      .filter((name) => belongsTo(name, group))
      .sort()
      .map((name) => `${folder}/${name}`),
  )
}

/** True when `name` is a test of `group`: `test-http-abort.js` is one of `http`, `test-http2-ping.js` is not. */
export function belongsTo(name: string, group: Group): boolean {
  return name.startsWith(`test-${group}`) && /^(-.*)?\.[cm]?js$/.test(name.slice(`test-${group}`.length))
}

/** What a test asks of its runner in comments: `// Flags: --expose-internals`, `// Env: NAME=value`. */
export interface Demands {
  readonly flags: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

export function demandsOf(source: string): Demands {
  const flags = linesAfter(source, 'Flags')
  const env = linesAfter(source, 'Env').map((pair): [string, string] => {
    const at = pair.indexOf('=')
    return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)]
  })
  return { flags, env: Object.fromEntries(env) }
}

function linesAfter(source: string, label: 'Flags' | 'Env'): string[] {
  const lines = source.matchAll(new RegExp(`^//\\s*${label}:(.*)$`, 'gm'))
  return [...lines].flatMap((match) => words(match[1] ?? ''))
}

/** Splits as a shell would, as far as the suite needs it: blanks separate, quotes of either kind hold together. */
function words(text: string): string[] {
  const found = text.match(/(?:[^\s"']|"[^"]*"|'[^']*')+/g) ?? []
  return found.map((word) => word.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'))
}

export function readTest(suite: string, file: string): string {
  return readFileSync(join(suite, file), 'utf8')
}
