/** Channels: packets and the descriptors with them, whole or not at all, and nothing left behind. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { closeAll, freshName, native } from '../attack/channel.ts'
import { censusOf } from '../support/census.ts'
import { NO_PYTHON, python } from '../support/python.ts'
import { eventually, within } from '../support/waiting.ts'

const EAGAIN = -11
const EMSGSIZE = -90
const ECONNREFUSED = -111
const EADDRINUSE = -98
const ENAMETOOLONG = -36
const LIMIT_MS = 10_000

/** Two ends of a channel; the test closes them. */
function pair(test: TestContext): readonly [near: number, far: number] {
  const name = freshName()
  const listener = native.listen(name)
  const near = native.connect(name)
  const far = native.accept(listener)
  assert.ok(listener >= 0 && near >= 0 && far >= 0)
  native.close(listener)
  test.after(() => {
    closeAll([near, far])
  })
  return [near, far]
}

function descriptors(): number {
  return Object.values(censusOf().descriptors).reduce((all, count) => all + count, 0)
}

function nothing(count: number): number[] {
  return Array.from({ length: count }, () => openSync('/dev/null', 'r'))
}

test('packets keep their limits and their order', (t) => {
  const [near, far] = pair(t)
  for (const length of [1, 1024, 24])
    assert.equal(native.send(near, new Uint8Array(length).fill(length & 255), []), 0)
  for (const length of [1, 1024, 24]) {
    const got = native.receive(far)
    assert.ok(typeof got !== 'number')
    assert.equal(got.bytes.length, length)
    assert.ok(got.bytes.every((byte) => byte === (length & 255)))
    assert.deepEqual(got.fds, [])
  }
  assert.equal(native.receive(far), EAGAIN)
})

test('too long a packet, or too many descriptors, are not sent', (t) => {
  const [near, far] = pair(t)
  assert.equal(native.send(near, new Uint8Array(1025), []), EMSGSIZE)
  assert.equal(native.send(near, new Uint8Array(1), [0, 0, 0, 0, 0]), EMSGSIZE)
  assert.equal(native.receive(far), EAGAIN)
})

test('descriptors arrive as new, close-on-exec descriptors of the same files', (t) => {
  const [near, far] = pair(t)
  const files = nothing(4)
  const before = descriptors()
  assert.equal(native.send(near, new Uint8Array(1), files), 0)
  const got = native.receive(far)
  assert.ok(typeof got !== 'number')
  assert.equal(got.fds.length, 4)
  assert.equal(new Set([...got.fds, ...files]).size, 8)
  assert.equal(descriptors(), before + 4)
  const child = spawnSync('ls', ['/proc/self/fd'], { encoding: 'utf8' })
  for (const fd of got.fds) assert.ok(!child.stdout.split('\n').includes(String(fd)), 'a child inherited it')
  closeAll(got.fds)
  for (const file of files) closeSync(file)
})

test('an empty packet looks like the end; one with descriptors does not, and they can be closed', (t) => {
  const [near, far] = pair(t)
  const [file] = nothing(1) as [number]
  assert.equal(native.send(near, new Uint8Array(0), [file]), 0)
  const got = native.receive(far)
  assert.ok(typeof got !== 'number')
  assert.deepEqual([got.bytes.length, got.fds.length], [0, 1])
  closeAll(got.fds)
  assert.equal(native.send(near, new Uint8Array(0), []), 0)
  assert.equal(native.receive(far), 0)
  closeSync(file)
})

test('what was sent before the end is read first', (t) => {
  const [near, far] = pair(t)
  native.send(near, new Uint8Array([7]), [])
  native.close(near)
  assert.ok(typeof native.receive(far) !== 'number')
  assert.equal(native.receive(far), 0)
  assert.equal(native.receive(far), 0)
})

test('sending to an end that is closed is an errno, not a signal', (t) => {
  const [near, far] = pair(t)
  native.close(far)
  assert.equal(native.send(near, new Uint8Array(1), []), -32)
})

test('a peer that does not read makes send answer EAGAIN', (t) => {
  const [near, far] = pair(t)
  let sent = 0
  let status = 0
  for (; status === 0 && sent < 100_000; sent += 1) status = native.send(near, new Uint8Array(1024), [])
  assert.equal(status, EAGAIN)
  assert.ok(typeof native.receive(far) !== 'number')
})

/** Sends a packet that our own `send` never would; Python has no such scruples. */
function sendWildly(name: string, bytes: number, fds: number): void {
  const script = `
import socket, sys
channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
channel.connect('\\0' + sys.argv[1])
socket.send_fds(channel, [b'y' * ${bytes}], [0] * ${fds}) if ${fds} else channel.send(b'y' * ${bytes})`
  python(script, [name])
}

for (const [bytes, fds] of [
  [1025, 0],
  [65_536, 0],
  [24, 5],
  [24, 253],
  [2000, 4],
  [0, 5],
] as const) {
  const title = `pitfall 11: a packet of ${bytes} bytes with ${fds} descriptors is refused whole, and none of them stays`
  test(title, { skip: NO_PYTHON }, () => {
    const name = freshName()
    const listener = native.listen(name)
    const before = descriptors()
    sendWildly(name, bytes, fds)
    const channel = native.accept(listener)
    assert.equal(native.receive(channel), EMSGSIZE)
    assert.equal(native.receive(channel), 0)
    native.close(channel)
    assert.equal(descriptors(), before)
    native.close(listener)
  })
}

test('a name is taken while somebody listens, free afterwards, and leaves no file', () => {
  const name = freshName()
  const listener = native.listen(name)
  assert.equal(native.listen(name), EADDRINUSE)
  native.close(listener)
  assert.equal(native.connect(name), ECONNREFUSED)
  const again = native.listen(name)
  assert.ok(again >= 0)
  native.close(again)
})

test('names too long for an address are refused, the longest that fits works', () => {
  const before = descriptors()
  assert.equal(native.listen('n'.repeat(108)), ENAMETOOLONG)
  assert.equal(native.connect('n'.repeat(108)), ENAMETOOLONG)
  const longest = `${freshName()}/`.padEnd(107, 'n')
  const listener = native.listen(longest)
  const near = native.connect(longest)
  assert.ok(listener >= 0 && near >= 0)
  closeAll([listener, near])
  assert.equal(descriptors(), before)
})

test('failures cost no descriptor', () => {
  const before = descriptors()
  for (let i = 0; i < 20; i += 1) {
    assert.equal(native.connect(freshName()), ECONNREFUSED)
    assert.ok(native.accept(-1) < 0)
    assert.ok(typeof native.receive(-1) === 'number')
    assert.ok(typeof native.peerCredentials(-1) === 'number')
  }
  assert.equal(descriptors(), before)
})

test('credentials are those of the process at the other end', (t) => {
  const [near, far] = pair(t)
  const expected = { pid: process.pid, uid: process.getuid?.() }
  assert.deepEqual(native.peerCredentials(near), expected)
  assert.deepEqual(native.peerCredentials(far), expected)
})

test('only a nonblocking eventfd is a doorbell', (t) => {
  const [near] = pair(t)
  const [file] = nothing(1) as [number]
  const made = native.createMemory(4096)
  assert.ok(typeof made !== 'number')
  const poller = new native.Poller(0, () => false)
  assert.equal(native.isDoorbell(poller.doorbell), true)
  for (const fd of [near, file, made.fd, poller.statusFd, -1, 9999])
    assert.equal(native.isDoorbell(fd), false)
  closeSync(file)
  closeSync(made.fd)
  native.unmap(made.buffer)
})

test('a watcher tells of packets and of the end, and says nothing once it is closed', async (t) => {
  const [near, far] = pair(t)
  let told = 0
  let heard: () => void = () => undefined
  const watcher = new native.Watcher(far, () => {
    told += 1
    while (typeof native.receive(far) !== 'number');
    heard()
  })
  const next = (): Promise<void> =>
    within(
      new Promise<void>((resolve) => {
        heard = resolve
      }),
      LIMIT_MS,
      'the watcher',
    )
  let waiting = next()
  native.send(near, new Uint8Array(1), [])
  await waiting
  waiting = next()
  native.send(near, new Uint8Array(1), [])
  await waiting
  watcher.close()
  watcher.close()
  const before = told
  native.send(near, new Uint8Array(1), [])
  await new Promise(setImmediate)
  await new Promise(setImmediate)
  assert.equal(told, before)
})

test('a watcher may close itself and its descriptor from inside its callback', async () => {
  const name = freshName()
  const listener = native.listen(name)
  const near = native.connect(name)
  const far = native.accept(listener)
  let calls = 0
  const watcher = new native.Watcher(far, () => {
    calls += 1
    watcher.close()
    native.close(far)
  })
  native.close(near)
  await eventually(
    () => calls > 0,
    LIMIT_MS,
    () => 'the end of the channel',
  )
  await new Promise(setImmediate)
  assert.equal(calls, 1)
  native.close(listener)
})

test('a watcher of what cannot be polled throws, and is no burden afterwards', () => {
  const [file] = nothing(1) as [number]
  assert.throws(() => new native.Watcher(file, () => undefined), /Cannot watch/)
  assert.throws(() => new native.Watcher(9999, () => undefined), /Cannot watch/)
  closeSync(file)
})
