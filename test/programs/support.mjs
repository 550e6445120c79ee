// What the programs of this folder share. They are plain JavaScript over npm packages that this repository does not depend
// on: scripts/programs installs those into a cache folder, and passes it as the first argument.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [cache, port] = process.argv.slice(2)
const require = createRequire(join(cache, 'package.json'))

/** A package of the cache folder, whatever its module format. */
export async function load(name) {
  const module = await import(pathToFileURL(require.resolve(name)).href)
  return module.default ?? module
}

/** The port of the server, for a client. */
export const PORT = Number(port)
export const HOST = '127.0.0.1'
export const ORIGIN = `http://${HOST}:${port}`

/** Listens where the client will be told, and ends when the runner closes stdin. */
export function serve(server, close = () => undefined) {
  server.listen(0, HOST, () => {
    tell(server.address().port, close)
  })
}

export function tell(port, close = () => undefined) {
  process.stdout.write(`${JSON.stringify({ port })}\n`)
  process.stdin.resume().on('end', () => {
    close()
    process.exit()
  })
}

const LOAD_MS = Number(process.env.PROGRAM_LOAD_MS ?? 1000)
const WARM_MS = 300

/**
 * Runs a client: `check` exercises the package and notes what it saw, which must read the same stock and switched; then, when
 * the runner says so, `operation` is repeated by `lanes` at a time, and counted.
 */
export async function client({ check, operation, lanes = 1, close }) {
  const notes = []
  await check((name, value) =>
    notes.push(`${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`),
  )
  process.stdout.write(`${JSON.stringify({ notes })}\n`)
  await event(process.stdin, 'data')
  await repeat(operation, lanes, WARM_MS)
  const { user, system } = process.cpuUsage()
  const { perSecond, count } = await repeat(operation, lanes, LOAD_MS)
  const used = process.cpuUsage({ user, system })
  const cpuMicroseconds = (used.user + used.system) / count
  await close?.()
  process.stdout.write(`${JSON.stringify({ perSecond, cpuMicroseconds })}\n`, () => process.exit())
}

async function repeat(operation, lanes, ms) {
  const start = performance.now()
  let count = 0
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      while (performance.now() - start < ms) {
        await operation()
        count += 1
      }
    }),
  )
  return { count, perSecond: (count * 1000) / (performance.now() - start) }
}

/** The same bytes for everyone who asks for `length` of them. */
export function bytes(length) {
  const out = Buffer.alloc(length)
  for (let at = 0, x = length; at < length; at += 1) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0
    out[at] = x >>> 16
  }
  return out
}

/** Waits for one event, and answers its first argument. */
export function event(emitter, name) {
  return new Promise((resolve) => emitter.once(name, resolve))
}
