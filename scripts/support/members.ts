/** What Node itself has: exports, members, events and options of its modules, by the names under which a table lists them. */
import { createRequire } from 'node:module'
import { join } from 'node:path'

import ts from 'typescript'

/** Where the members of a class end and those that it inherits begin. */
const PARENTS: Readonly<Record<string, string>> = {
  'net.Socket': 'stream.Duplex',
  'net.Server': 'events.EventEmitter',
  'http.Agent': 'events.EventEmitter',
  'http.ClientRequest': 'http.OutgoingMessage',
  'http.IncomingMessage': 'stream.Readable',
  'http.OutgoingMessage': 'stream.Stream',
  'http.Server': 'net.Server',
  'http.ServerResponse': 'http.OutgoingMessage',
  'tls.TLSSocket': 'net.Socket',
  'tls.Server': 'net.Server',
  'cluster.Worker': 'events.EventEmitter',
  'child_process.ChildProcess': 'events.EventEmitter',
  'worker_threads.Worker': 'events.EventEmitter',
}

const require = createRequire(import.meta.url)

/** @param surface `exports net`, `members net.Socket`, `events net.Socket` or `options net.ServerOpts`. */
export function membersOf(surface: string): readonly string[] {
  const [kind, name = ''] = surface.split(' ')
  const [module = '', type = ''] = name.split('.')
  switch (kind) {
    case 'exports':
      return Object.keys(require(`node:${module}`) as object).filter(isPublic)
    case 'members':
      return inheritedNames(prototypeOf(name), PARENTS[name])
    case 'events':
      return declared().events(module, type)
    case 'options':
      return declared().options(module, type)
    default:
      throw new Error(`Cannot list '${surface}': it begins with none of exports, members, events, options`)
  }
}

function isPublic(name: string): boolean {
  return !name.startsWith('_')
}

function prototypeOf(name: string): object {
  const [module = '', type = ''] = name.split('.')
  const found = (require(`node:${module}`) as Record<string, { readonly prototype: object } | undefined>)[
    type
  ]
  if (found === undefined) throw new Error(`Cannot list the members of ${name}: this Node has no such class`)
  return found.prototype
}

function inheritedNames(prototype: object, parent: string | undefined): readonly string[] {
  const end = parent === undefined ? Object.prototype : prototypeOf(parent)
  const names = new Set<string>()
  for (let at: object | null = prototype; at !== null && at !== end && at !== Object.prototype;) {
    for (const name of Object.getOwnPropertyNames(at))
      if (name !== 'constructor' && isPublic(name)) names.add(name)
    at = Object.getPrototypeOf(at) as object | null
  }
  return [...names]
}

interface Declared {
  events(module: string, type: string): readonly string[]
  options(module: string, type: string): readonly string[]
}

let known: Declared | undefined

/** What only the declarations of `@types/node` tell; they are compiled once. */
function declared(): Declared {
  known ??= compileDeclarations()
  return known
}

function compileDeclarations(): Declared {
  // Seen from `dist/scripts/support`.
  const index = join(import.meta.dirname, '../../../node_modules/@types/node/index.d.ts')
  const program = ts.createProgram([index], { types: [], noLib: true, skipLibCheck: true, noEmit: true })
  const checker = program.getTypeChecker()
  const typeOf = (module: string, type: string): ts.Type => {
    const ambient = checker.getAmbientModules().find((symbol) => symbol.name === `"${module}"`)
    const exported = ambient && checker.getExportsOfModule(ambient)
    // `export = cluster` has its types in a namespace beside it.
    const symbol = exported?.find(({ name }) => name === type)
    if (symbol === undefined)
      throw new Error(`Cannot list '${module}.${type}': @types/node does not declare it`)
    return checker.getDeclaredTypeOfSymbol(symbol)
  }
  return {
    options: (module, type) =>
      typeOf(module, type)
        .getProperties()
        .map(({ name }) => name)
        .filter(isPublic),
    events: (module, type) => {
      const overloads = typeOf(module, type).getProperty('addListener')?.declarations ?? []
      const names = overloads.flatMap((declaration) => {
        const event =
          ts.isMethodDeclaration(declaration) || ts.isMethodSignature(declaration)
            ? declaration.parameters[0]?.type
            : undefined
        return event !== undefined && ts.isLiteralTypeNode(event) && ts.isStringLiteral(event.literal)
          ? [event.literal.text]
          : []
      })
      return [...new Set(names)]
    },
  }
}
