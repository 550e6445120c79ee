import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { basename } from 'node:path'
import { SubnetSet } from '../base/subnet-set.ts'
import { ACTIONS, ROLES } from '../switch/policy.ts'
import type { Action, Decision, Role } from '../switch/policy.ts'

/** One rule; what it does not name it leaves open. */
export interface Rule {
  readonly action: Action
  /** Where it stands and what it says: `line 3: stay port=5432`. */
  readonly text: string
  readonly decision: Decision
  readonly programs?: readonly ProgramPattern[]
  readonly roles?: readonly Role[]
  readonly addresses?: SubnetSet
  readonly ports?: readonly PortRange[]
}

type ProgramPattern = (path: string) => boolean

interface PortRange {
  readonly first: number
  readonly last: number
}

const MAX_PORT = 65_535
/** Bad lines that are named, and how much of a word that is wrong: a file that holds no rules may have many, and long ones. */
const MAX_NAMED = 5
const MAX_QUOTED = 40
const KEYS = ['program', 'role', 'address', 'port'] as const
type Key = (typeof KEYS)[number]

/** Rules of the file at `path`, one a line. @throws Error that names each bad line. */
export function readRules(path: string): Rule[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new Error(`Cannot read rules: ${path}: ${(error as Error).message}`, { cause: error })
  }
  return parseRules(text.split('\n'), 'line', path)
}

/** Rules in one line, with `;` between them. */
export function inlineRules(text: string): Rule[] {
  return parseRules(text.split(';'), 'rule', 'SOCKSWITCH_RULE')
}

/**
 * Reads rules: an action, then `key=value` pairs, in any order; `#` begins a comment.
 *
 * @throws Error that names each bad line.
 */
export function parseRules(lines: readonly string[], unit: 'line' | 'rule', source: string): Rule[] {
  const rules: Rule[] = []
  const bad: string[] = []
  for (const [at, line] of lines.entries()) {
    const words = line.replace(/#.*/, '').trim()
    if (words === '') continue
    const place = `${unit} ${String(at + 1)}`
    try {
      rules.push(parseRule(words.split(/\s+/), `${place}: ${words}`))
    } catch (error) {
      bad.push(`Cannot read rules: ${source}, ${place}: ${(error as Error).message}`)
    }
  }
  if (bad.length === 0) return rules
  const more = bad.length - MAX_NAMED
  if (more > 0) bad.splice(MAX_NAMED, more, `Cannot read rules: ${source}: ${String(more)} more are wrong`)
  throw new Error(bad.join('\n'))
}

function parseRule([action = '', ...pairs]: readonly string[], text: string): Rule {
  if (!isOneOf(ACTIONS, action)) throw invalid('action', action, ACTIONS.join(', '))
  const values = new Map<Key, string[]>()
  for (const pair of pairs) {
    const [key, value = ''] = split(pair, '=')
    if (!isOneOf(KEYS, key)) throw invalid('key', key, `${KEYS.join(', ')}, such as port=80`)
    if (values.has(key)) throw new Error(`"${key}" is given twice; separate values by commas`)
    if (value === '') throw new Error(`"${key}" has no value`)
    values.set(key, value.split(','))
  }
  const [programs, roles, addresses, ports] = KEYS.map((key) => values.get(key))
  return {
    action,
    text,
    decision: { action, rule: text },
    ...(programs && { programs: programs.map(glob) }),
    ...(roles && { roles: roles.map(role) }),
    ...(addresses && { addresses: new SubnetSet(addresses.map(subnet)) }),
    ...(ports && { ports: ports.map(portRange) }),
  }
}

function role(text: string): Role {
  if (!isOneOf(ROLES, text)) throw invalid('role', text, ROLES.join(', '))
  return text
}

function subnet(text: string): { family: 'IPv4' | 'IPv6'; address: string; prefixLength: number } {
  const [address, prefix] = split(text, '/')
  const version = isIP(address)
  const longest = version === 4 ? 32 : 128
  const prefixLength = prefix === undefined ? longest : wholeNumber(prefix)
  if (version === 0 || !(prefixLength <= longest)) {
    throw invalid('address', text, 'IPv4 and IPv6 addresses and networks, such as 10.0.0.0/8 or ::1')
  }
  return { family: version === 4 ? 'IPv4' : 'IPv6', address, prefixLength }
}

function portRange(text: string): PortRange {
  const [from, to = from] = split(text, '-')
  const range = { first: wholeNumber(from), last: wholeNumber(to) }
  if (!(range.first >= 1 && range.first <= range.last && range.last <= MAX_PORT)) {
    throw invalid('port', text, `1 to ${String(MAX_PORT)} and ranges, such as 80 or 8000-8999`)
  }
  return range
}

/** `*` is anything, `?` one character; with a `/` the whole path must match, else its last part. */
function glob(text: string): ProgramPattern {
  const escaped = text.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
  const pattern = new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`)
  return text.includes('/') ? (path) => pattern.test(path) : (path) => pattern.test(basename(path))
}

function split(text: string, by: string): [string, string?] {
  const at = text.indexOf(by)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

function wholeNumber(text: string): number {
  return /^\d+$/.test(text) ? Number(text) : NaN
}

/** For a terminal: without what would move its cursor, and not without end. */
function printable(text: string): string {
  const shown = text.replaceAll(/\p{C}/gu, '?')
  return shown.length > MAX_QUOTED ? `${shown.slice(0, MAX_QUOTED)}…` : shown
}

function isOneOf<T extends string>(values: readonly T[], text: string): text is T {
  return (values as readonly string[]).includes(text)
}

function invalid(what: string, text: string, valid: string): Error {
  return new Error(`unknown ${what} "${printable(text)}"; valid are ${valid}`)
}

/** True when `rule` speaks of a program that goes by one of `names`: the path of its script, that of its executable. */
export function concernsProgram(rule: Rule, names: readonly string[]): boolean {
  return rule.programs === undefined || rule.programs.some((matches) => names.some(matches))
}

export function concernsRole(rule: Rule, role: Role): boolean {
  return rule.roles === undefined || rule.roles.includes(role)
}

export function concernsEnd(
  rule: Rule,
  address: { family: 'IPv4' | 'IPv6'; address: string },
  port: number,
): boolean {
  if (rule.ports !== undefined && !rule.ports.some(({ first, last }) => first <= port && port <= last))
    return false
  return rule.addresses === undefined || rule.addresses.has(address)
}
