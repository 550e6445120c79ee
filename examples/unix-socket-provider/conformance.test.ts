import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'

import { childPeer, countingAddresses, providerConformance } from 'sockswitch/conformance'
import { UnixSocketProvider } from './provider.ts'

const folder = mkdtempSync(join(tmpdir(), 'unix-socket-provider-'))
process.env['EXAMPLE_FOLDER'] = folder
after(() => {
  rmSync(folder, { recursive: true })
})

providerConformance('unix-socket-provider, one provider', { create: () => new UnixSocketProvider(folder) })

providerConformance('unix-socket-provider, two providers, IPv6', {
  create: () => new UnixSocketProvider(folder),
  createPair: () => [new UnixSocketProvider(folder), new UnixSocketProvider(folder)],
  address: countingAddresses({ family: 'IPv6', address: '::1' }, 40001),
})

providerConformance('unix-socket-provider, peer in another process', {
  create: () => new UnixSocketProvider(folder),
  address: countingAddresses({ family: 'IPv4', address: '127.0.0.1' }, 60001),
  peer: childPeer(new URL(`./peer${import.meta.url.slice(-3)}`, import.meta.url)),
})
