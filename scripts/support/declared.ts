/** What the declarations of `@types/node` tell of Node's modules and running Node does not: options, events, fields of instances. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

import ts from 'typescript'

import { CACHE } from '../node-suite/node-binary.ts'

/** Declarations of one version of Node, compiled once. */
export interface Declared {
  /** Members that `type` has and its bases have not. */
  own(module: string, type: string): readonly string[]
  /** Members of `type` and its bases. */
  all(module: string, type: string): readonly string[]
  events(module: string, type: string): readonly string[]
}

/** Where declarations of newer versions are kept. */
function declarationsFolder(major: number): string {
  return join(CACHE, 'types', String(major))
}

/** Brings the declarations for the major version of `version`, unless they are there. */
export function installDeclarations(version: string): void {
  const major = Number(version.split('.')[0])
  if (major === DECLARED_MAJOR || existsSync(join(declarationsFolder(major), 'node_modules'))) return
  const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefix', declarationsFolder(major)]
  mkdirSync(declarationsFolder(major), { recursive: true })
  execFileSync('npm', ['install', ...options, `@types/node@${major}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** The major version of Node that the declarations among the development dependencies describe. */
export const DECLARED_MAJOR = 20

/** The declarations for this Node, if they are at hand. */
export function declaredHere(): Declared | undefined {
  const major = Number(process.versions.node.split('.')[0])
  // Seen from `dist/scripts/support`.
  const root = major === DECLARED_MAJOR ? join(import.meta.dirname, '../../..') : declarationsFolder(major)
  const types = join(root, 'node_modules', '@types', 'node', 'index.d.ts')
  return existsSync(types) ? compile(types) : undefined
}

function compile(index: string): Declared {
  const program = ts.createProgram([index], { types: [], noLib: true, skipLibCheck: true, noEmit: true })
  const checker = program.getTypeChecker()
  const ambient = new Map(
    checker.getAmbientModules().map((symbol) => [symbol.name.slice(1, -1).replace(/^node:/, ''), symbol]),
  )
  const find = (module: string, type: string): ts.Symbol | undefined => {
    const within = ambient.get(module)
    const found = within && checker.getExportsOfModule(within).find(({ name }) => name === type)
    return found && (found.flags & ts.SymbolFlags.Alias) !== 0 ? checker.getAliasedSymbol(found) : found
  }
  const typeOf = (module: string, type: string): ts.Type => {
    const symbol = find(module, type)
    if (symbol === undefined)
      throw new Error(`Cannot list '${module}.${type}': @types/node does not declare it`)
    return checker.getDeclaredTypeOfSymbol(symbol)
  }
  const ownNames = (symbol: ts.Symbol | undefined): string[] =>
    [...(symbol?.members?.values() ?? [])].filter(isMember).map(({ name }) => name)
  return {
    own: (module, type) => ownNames(typeOf(module, type).symbol),
    all: (module, type) =>
      typeOf(module, type)
        .getProperties()
        .filter(isMember)
        .map(({ name }) => name),
    events(module, type) {
      const map = find(module, `${type}EventMap`)
      if (map !== undefined) return ownNames(map)
      const own = [...(typeOf(module, type).symbol.members?.values() ?? [])]
      const overloads = own.find(({ name }) => name === 'addListener')?.declarations ?? []
      return [...new Set(overloads.flatMap(eventOf))]
    },
  }
}

function isMember({ name, flags }: ts.Symbol): boolean {
  // `constructor`, type parameters, index signatures and symbols are none.
  return /^[a-z$]/i.test(name) && name !== 'constructor' && (flags & ts.SymbolFlags.TypeParameter) === 0
}

/** The event that an overload of `addListener` is about. */
function eventOf(declaration: ts.Declaration): string[] {
  if (!ts.isMethodDeclaration(declaration) && !ts.isMethodSignature(declaration)) return []
  const event = declaration.parameters[0]?.type
  return event !== undefined && ts.isLiteralTypeNode(event) && ts.isStringLiteral(event.literal)
    ? [event.literal.text]
    : []
}
