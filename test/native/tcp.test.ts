/** What the kernel says about TCP: who listens where, and that a reserved port is nobody else's. */
import assert from 'node:assert/strict'
import { closeSync, readlinkSync } from 'node:fs'
import net from 'node:net'
import type { AddressInfo, ListenOptions } from 'node:net'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { native } from '../attack/channel.ts'
import { censusOf } from '../support/census.ts'
import { eventually } from '../support/waiting.ts'

const ENOENT = -2
const EINVAL = -22
const uid = process.getuid?.()
const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? [])
const noIPv6 = addresses.some(({ address }) => address === '::1') ? false : 'this host has no IPv6'
const outer = addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address

async function listen(test: TestContext, options: ListenOptions): Promise<number> {
  const server = net.createServer()
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject).listen({ port: 0, ...options }, resolve)
  })
  test.after(() => {
    server.close()
  })
  return (server.address() as AddressInfo).port
}

function found(address: string, port: number): { uid: number; address: string } | number {
  const listener = native.findTcpListener(address, port)
  return typeof listener === 'number' ? listener : { uid: listener.uid, address: listener.address }
}

test('an IPv4 listener is found at its address and at no other', async (t) => {
  const port = await listen(t, { host: '127.0.0.1' })
  assert.deepEqual(found('127.0.0.1', port), { uid, address: '127.0.0.1' })
  assert.equal(native.findTcpListener('127.0.0.2', port), ENOENT)
  if (noIPv6 === false) assert.equal(native.findTcpListener('::1', port), ENOENT)
})

test('an IPv4 wildcard listener is found at every IPv4 address of the host, as the wildcard', async (t) => {
  const port = await listen(t, { host: '0.0.0.0' })
  for (const address of ['127.0.0.1', '127.0.0.2', ...(outer === undefined ? [] : [outer])]) {
    assert.deepEqual(found(address, port), { uid, address: '0.0.0.0' })
  }
  if (noIPv6 === false) assert.equal(native.findTcpListener('::1', port), ENOENT)
})

test('a dual-stack listener is found at addresses of both families', { skip: noIPv6 }, async (t) => {
  const port = await listen(t, { host: '::' })
  for (const address of ['127.0.0.1', '::1']) {
    assert.deepEqual(found(address, port), { uid, address: '::' })
  }
})

test('a listener for IPv6 alone is not found at IPv4 addresses', { skip: noIPv6 }, async (t) => {
  const port = await listen(t, { host: '::', ipv6Only: true })
  assert.deepEqual(found('::1', port), { uid, address: '::' })
  assert.equal(native.findTcpListener('127.0.0.1', port), ENOENT)
})

test('of two listeners at one port the more specific one is found, as TCP would', async (t) => {
  const port = await listen(t, { host: '127.0.0.1' })
  if (noIPv6 === false) await listen(t, { host: '::', port, ipv6Only: true })
  assert.deepEqual(found('127.0.0.1', port), { uid, address: '127.0.0.1' })
  if (noIPv6 === false) assert.deepEqual(found('::1', port), { uid, address: '::' })
})

test('nobody listens: ENOENT; also where a socket is bound, or connected, but does not listen', async (t) => {
  const reserved = native.reserveTcpPort('127.0.0.1', 1)
  assert.ok(typeof reserved !== 'number')
  assert.equal(native.findTcpListener('127.0.0.1', reserved.port), ENOENT)
  closeSync(reserved.fd)
  const port = await listen(t, { host: '127.0.0.1' })
  const client = net.connect(port, '127.0.0.1')
  await new Promise((resolve) => client.once('connect', resolve))
  assert.equal(native.findTcpListener('127.0.0.1', client.localPort ?? 0), ENOENT)
  client.destroy()
})

test('a listener is told by its cookie and its inode; the wildcard address asks for a wildcard listener', async (t) => {
  for (const host of ['127.0.0.1', '0.0.0.0', ...(noIPv6 === false ? ['::'] : [])]) {
    const server = net.createServer()
    t.after(() => server.close())
    await new Promise<void>((resolve) => server.listen(0, host, resolve))
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle
    const listener = native.findTcpListener(host, (server.address() as AddressInfo).port)
    const described = native.describeListener(fd)
    assert.ok(typeof listener !== 'number' && typeof described !== 'number')
    assert.deepEqual(described, { cookie: listener.cookie, sharesPort: false })
    assert.equal(readlinkSync(`/proc/self/fd/${fd}`), `socket:[${listener.inode}]`)
  }
})

test('what is no listening TCP socket is EINVAL', (t) => {
  const reserved = native.reserveTcpPort('127.0.0.1', 1)
  const pair = native.socketPair()
  const channel = native.listen(`test/tcp/${process.pid}`)
  assert.ok(typeof reserved !== 'number' && typeof pair !== 'number')
  t.after(() => {
    for (const fd of [reserved.fd, ...pair, channel]) native.close(fd)
  })
  for (const fd of [-1, 0, reserved.fd, pair[0], channel]) assert.equal(native.describeListener(fd), EINVAL)
})

test('of several listeners that share a port the one is found that a connect reaches', async (t) => {
  const options = { host: '127.0.0.1', port: 0, reusePort: true }
  const cookies = new Map<number, string>()
  for (let i = 0; i < 4; i += 1) {
    const server = net.createServer((socket) => socket.resume())
    t.after(() => server.close())
    await new Promise<void>((resolve) => server.listen(options, resolve))
    options.port = (server.address() as AddressInfo).port
    const described = native.describeListener((server as unknown as { _handle: { fd: number } })._handle.fd)
    assert.ok(typeof described !== 'number')
    if (!described.sharesPort) {
      t.skip('this Node has no reusePort')
      return
    }
    server.on('connection', (socket) => cookies.set(socket.remotePort ?? 0, described.cookie))
  }
  const { host, port } = options
  for (let i = 0; i < 20; i += 1) {
    const local = native.reserveTcpPort(host, port)
    assert.ok(typeof local !== 'number')
    const told = native.findTcpListener(host, port, host, local.port)
    assert.ok(typeof told !== 'number')
    native.close(local.fd)
    const client = net.connect({ host, port, localPort: local.port })
    await new Promise((resolve, reject) => client.once('connect', resolve).once('error', reject))
    client.destroy()
    await eventually(
      () => cookies.has(local.port),
      5000,
      () => 'a connection that was made arrives',
    )
    assert.equal(cookies.get(local.port), told.cookie)
  }
})

test('what is no numeric address is EINVAL', () => {
  for (const address of ['', 'localhost', '127.0.0.1.1', '::1%lo', '1'.repeat(1000)]) {
    assert.equal(native.findTcpListener(address, 80), EINVAL, address)
    assert.equal(native.reserveTcpPort(address, 80), EINVAL, address)
  }
})

test('a closed listener is found no more', async () => {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  assert.equal(native.findTcpListener('127.0.0.1', port), ENOENT)
})

test('a thousand questions cost one descriptor', async (t) => {
  const port = await listen(t, { host: '127.0.0.1' })
  native.findTcpListener('127.0.0.1', port)
  const before = censusOf().descriptors
  for (let i = 0; i < 1000; i += 1) native.findTcpListener('127.0.0.1', i % 2 === 0 ? port : 1)
  assert.deepEqual(censusOf().descriptors, before)
})

for (const address of ['127.0.0.1', '127.0.0.9', '::1', ...(outer === undefined ? [] : [outer])]) {
  const skip = address.includes(':') ? noIPv6 : false
  test(
    `a port reserved for a connect to ${address} is the one TCP would leave from, and nobody else gets it`,
    { skip },
    async (t) => {
      const server = net.createServer((socket) => socket.resume())
      await new Promise<void>((resolve) => server.listen(0, address, resolve))
      t.after(() => {
        server.close()
      })
      const { port } = server.address() as AddressInfo
      const reserved = native.reserveTcpPort(address, port)
      assert.ok(typeof reserved !== 'number')
      assert.ok(reserved.port >= 1024)
      const client = net.connect(port, address)
      await new Promise((resolve) => client.once('connect', resolve))
      assert.equal(reserved.address, client.localAddress)
      assert.notEqual(reserved.port, client.localPort)
      client.destroy()
      const rival = net.createServer()
      const failed = new Promise<NodeJS.ErrnoException>((resolve, reject) => {
        rival.on('error', resolve).on('listening', () => {
          rival.close()
          reject(new Error('somebody else got the reserved port'))
        })
      })
      rival.listen(reserved.port, reserved.address)
      assert.equal((await failed).code, 'EADDRINUSE')
      closeSync(reserved.fd)
      const heir = net.createServer()
      await new Promise<void>((resolve) => heir.listen(reserved.port, reserved.address, resolve))
      heir.close()
    },
  )
}

test('many reservations are all different', () => {
  const reserved = Array.from({ length: 500 }, () => native.reserveTcpPort('127.0.0.1', 80))
  const ports = reserved.map((one) => (typeof one === 'number' ? one : one.port))
  assert.equal(new Set(ports).size, 500)
  for (const one of reserved) if (typeof one !== 'number') closeSync(one.fd)
})
