/** What Node itself has: exports, members, events and options of its modules, by the names under which a table lists them. */
import { createRequire } from 'node:module'
import { runInNewContext } from 'node:vm'
import { declaredHere } from './declared.ts'
import type { Declared } from './declared.ts'

/** Where the members of a class end and those that it inherits begin. */
const PARENTS: Readonly<Record<string, string>> = {
  'stream.Duplex': 'events.EventEmitter',
  'net.Socket': 'stream.Duplex',
  'net.Server': 'events.EventEmitter',
  'http.Agent': 'events.EventEmitter',
  'http.ClientRequest': 'http.OutgoingMessage',
  'http.IncomingMessage': 'stream.Readable',
  'http.OutgoingMessage': 'stream.Stream',
  'http.Server': 'net.Server',
  'http.ServerResponse': 'http.OutgoingMessage',
  'https.Agent': 'http.Agent',
  'https.Server': 'tls.Server',
  'tls.TLSSocket': 'net.Socket',
  'tls.Server': 'net.Server',
  'http2.Http2ServerRequest': 'stream.Readable',
  'http2.Http2ServerResponse': 'stream.Stream',
  'cluster.Worker': 'events.EventEmitter',
  'child_process.ChildProcess': 'events.EventEmitter',
  'worker_threads.Worker': 'events.EventEmitter',
  'dgram.Socket': 'events.EventEmitter',
  'globalThis.WebSocket': 'globalThis.EventTarget',
}

const require = createRequire(import.meta.url)

let known: Declared | undefined
let looked = false

/** The declarations for this Node; without them options and events are not known, nor what only instances have. */
export function declarations(): Declared | undefined {
  if (!looked) known = declaredHere()
  looked = true
  return known
}

/**
 * @param surface `globals`, `exports net`, `members net.Socket`, `events net.Socket` or `options net.ServerOpts`; options may be those
 * beyond the options of other types: `options tls.TlsOptions - net.ServerOpts`.
 * @returns `undefined` where only declarations tell and there are none for this Node.
 */
export function membersOf(surface: string): readonly string[] | undefined {
  const [kind = '', name = '', ...rest] = surface.split(/ -? ?/)
  const [module = '', type = ''] = name.split('.')
  switch (kind) {
    case 'globals':
      return globals()
    case 'exports':
      return Object.keys(require(`node:${module}`) as object).filter(isPublic)
    case 'members':
      return classMembers(module, type)
    case 'events':
      return declarations()?.events(module, type)
    case 'options':
      return optionsBeyond(name, rest)
    default:
      throw new Error(
        `Cannot list '${surface}': it begins with none of globals, exports, members, events, options`,
      )
  }
}

function isPublic(name: string): boolean {
  return !name.startsWith('_')
}

/** What Node adds to the globals of the language. */
function globals(): readonly string[] {
  const language = new Set(runInNewContext('Object.getOwnPropertyNames(globalThis)') as string[])
  return Object.getOwnPropertyNames(globalThis).filter((name) => !language.has(name) && isPublic(name))
}

function classMembers(module: string, type: string): readonly string[] | undefined {
  const name = `${module}.${type}`
  const prototype = prototypeOf(name)
  const inherited = new Set(prototype === undefined ? EMITTER : namesOf(parentOf(name)))
  const declared = module === 'globalThis' ? undefined : declarations()?.own(module, type)
  // An interface of a class that no module exports: what is declared is all that is public.
  if (prototype === undefined) return declared?.filter((each) => !inherited.has(each))
  // A class may declare anew what it inherits.
  const names = [
    ...ownNames(prototype, parentOf(name)),
    ...(declared ?? []).filter((each) => !inherited.has(each)),
  ]
  return [...new Set(names)].filter((each) => !EMITTER.has(each))
}

/** Listed with `stream.Duplex`, which all of it is about. */
const EMITTER: ReadonlySet<string> = new Set(
  Object.getOwnPropertyNames((require('node:events') as { prototype: object }).prototype),
)

function prototypeOf(name: string): object | undefined {
  const [module = '', type = ''] = name.split('.')
  if (module === 'globalThis')
    return (globalThis as unknown as Record<string, { prototype: object }>)[type]?.prototype
  return (require(`node:${module}`) as Record<string, { readonly prototype?: object } | undefined>)[type]
    ?.prototype
}

function parentOf(name: string): object {
  const parent = PARENTS[name]
  return (parent === undefined ? undefined : prototypeOf(parent)) ?? Object.prototype
}

function namesOf(prototype: object): readonly string[] {
  return ownNames(prototype, Object.prototype)
}

/** Names along the chain of prototypes, as far as `end`. */
function ownNames(prototype: object, end: object): readonly string[] {
  const names: string[] = []
  for (let at: object | null = prototype; at !== null && at !== end && at !== Object.prototype;) {
    names.push(...Object.getOwnPropertyNames(at).filter((name) => name !== 'constructor' && isPublic(name)))
    at = Object.getPrototypeOf(at) as object | null
  }
  return [...new Set(names)]
}

function optionsBeyond(name: string, others: readonly string[]): readonly string[] | undefined {
  const declared = declarations()
  if (declared === undefined) return undefined
  const all = (each: string): readonly string[] => {
    const [module = '', type = ''] = each.split('.')
    return declared.all(module, type)
  }
  const known = new Set(others.flatMap(all))
  return all(name).filter((option) => !known.has(option))
}
