// What the programs of this folder share. They are plain JavaScript over npm packages that this repository does not depend
// on: scripts/programs installs those into a cache folder, and passes it as the first argument.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
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
  say({ port })
  process.stdin.resume().on('end', () => {
    close()
    process.exit()
  })
}

/**
 * Runs a client: `check` exercises the package and notes what it saw, which must read the same stock and switched; then, each
 * time the runner asks for so many milliseconds of load, `operation` is repeated by `lanes` at a time, and counted.
 */
export async function client({ check, operation, lanes = 1, close }) {
  const notes = []
  await check((name, value) =>
    notes.push(`${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`),
  )
  say({ notes })
  for await (const line of createInterface({ input: process.stdin })) {
    const { user, system } = process.cpuUsage()
    const { perSecond, count } = await repeat(operation, lanes, JSON.parse(line).loadMs)
    const used = process.cpuUsage({ user, system })
    say({ perSecond, cpuMicroseconds: (used.user + used.system) / count })
  }
  await close?.()
  process.exit()
}

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`)
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
