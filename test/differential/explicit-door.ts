/**
 * The explicit door, opened for a whole program: `net` is `sockswitch/net`, and what the modules above it make is claimed
 * where it is made, as a program does with `claim(https.createServer())` and `createConnection`. Nothing is preloaded.
 */
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import tls from 'node:tls'
import face, { claim } from '../../src/net.ts'

/** Claims what the functions `names` of `module` return. */
function claimWhatIsMade(module: object, names: readonly string[]): void {
  const functions = module as Record<string, (...args: unknown[]) => net.Server | net.Socket>
  for (const name of names) {
    const make = functions[name]!
    functions[name] = (...args) => claim(make(...args))
  }
}

/** Returns what a scenario gets as `net`. */
export function openExplicitDoor(): typeof net {
  claimWhatIsMade(http, ['createServer'])
  claimWhatIsMade(https, ['createServer'])
  claimWhatIsMade(http2, ['createServer', 'createSecureServer'])
  claimWhatIsMade(tls, ['createServer', 'connect'])
  Object.assign(http.Agent.prototype, { createConnection: face.createConnection })
  Object.assign(net, { connect: face.connect }) // for http2.connect and fetch, which have it from there
  syncBuiltinESMExports()
  return face as unknown as typeof net
}
