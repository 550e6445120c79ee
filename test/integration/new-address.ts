/** In a network namespace of its own: connects to itself, gets another address, and connects there. Says what carried what. */
import { execFileSync } from 'node:child_process'
import { subscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'

const ways: string[] = []
subscribe('sockswitch:connect', (message) => ways.push((message as { readonly provider: string }).provider))
subscribe('sockswitch:stay', (message) => ways.push((message as { readonly reason: string }).reason))

const ip = (...args: readonly string[]): unknown => execFileSync('ip', args)
ip('link', 'set', 'lo', 'up')
ip('link', 'add', 'one', 'type', 'veth', 'peer', 'name', 'other')
for (const link of ['one', 'other']) ip('link', 'set', link, 'up')

const server = createServer((socket) => socket.end('there')).listen(0, '0.0.0.0')
await once(server, 'listening')
const { port } = server.address() as AddressInfo
for (const address of ['127.0.0.1', '10.77.0.1']) {
  if (address !== '127.0.0.1') ip('address', 'add', `${address}/32`, 'dev', 'one')
  const socket = connect(port, address)
  await once(socket.resume(), 'close')
}
server.close()
console.log(JSON.stringify(ways))
