/** Sealed memory: what its maker can still do, what a peer cannot, and what is refused when it comes from a peer. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, ftruncateSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { native } from '../attack/channel.ts'
import { censusOf } from '../support/census.ts'
import { collectGarbage } from '../support/garbage.ts'
import { NO_PYTHON } from '../support/python.ts'
import { eventually } from '../support/waiting.ts'
import { addonPath } from './addon-path.ts'
import { foreignMemory } from './foreign-memory.ts'

const EPERM = -1
const EINVAL = -22
const BYTES = 64 << 10
const LIMIT_MS = 10_000

function create(bytes = BYTES): { readonly fd: number; readonly buffer: ArrayBuffer } {
  const made = native.createMemory(bytes)
  assert.ok(typeof made !== 'number', 'no memory')
  return made
}

function release(made: { readonly fd: number; readonly buffer: ArrayBuffer }): void {
  native.unmap(made.buffer)
  closeSync(made.fd)
}

/** Mappings of ours, once those that were given up are gone. */
async function mappings(): Promise<number> {
  for (let turn = 0; turn < 3; turn += 1) {
    collectGarbage()
    await new Promise(setImmediate)
  }
  return censusOf().mappings
}

test('what one side writes the other reads, through different mappings', () => {
  const made = create()
  const mapped = native.mapMemory(made.fd, BYTES)
  assert.ok(mapped instanceof ArrayBuffer)
  new Uint8Array(made.buffer)[BYTES - 1] = 42
  assert.equal(new Uint8Array(mapped)[BYTES - 1], 42)
  Atomics.store(new Int32Array(made.buffer), 7, -5)
  assert.equal(Atomics.load(new Int32Array(mapped), 7), -5)
  native.unmap(mapped)
  release(made)
})

test('memory is all zero and all there from the start', () => {
  const made = create(1 << 20)
  assert.ok(new Uint8Array(made.buffer).every((byte) => byte === 0))
  release(made)
})

test('pitfall 7: the seals refuse every change of size', () => {
  const made = create()
  for (const bytes of [0, BYTES / 2, BYTES - 1, BYTES + 1, BYTES * 2]) {
    assert.throws(
      () => {
        ftruncateSync(made.fd, bytes)
      },
      { code: 'EPERM' },
    )
  }
  release(made)
})

test('pitfall 9: the seals refuse write() to everybody, also after reopening', () => {
  const made = create()
  assert.throws(
    () => {
      writeSync(made.fd, 'x', 0)
    },
    { code: 'EPERM' },
  )
  const again = openSync(`/proc/self/fd/${made.fd}`, 'r+')
  assert.throws(
    () => {
      writeSync(again, 'x', 0)
    },
    { code: 'EPERM' },
  )
  assert.throws(
    () => {
      ftruncateSync(again, 0)
    },
    { code: 'EPERM' },
  )
  closeSync(again)
  assert.throws(
    () => openSync(`/proc/self/fd/${made.fd}`, 'w'),
    { code: 'EPERM' },
    'reopening may not truncate',
  )
  release(made)
})

const SEALED = 'pitfall 9: the seals refuse a second writable mapping, mprotect, holes and further seals'
test(SEALED, { skip: NO_PYTHON }, () => {
  const made = create()
  assert.deepEqual(foreignMemory('probe', made.fd), {
    'map shared read-write': 'EPERM',
    'map shared read-only': 'ok',
    'make that writable': 'EACCES',
    'punch a hole': 'EPERM',
    'add a seal': 'EPERM',
  })
  release(made)
})

test('pitfall 9: writing to a mapping of the peer ends the writer, and leaves the memory as it was', () => {
  const script = `
    const native = require(process.argv[1])
    const made = native.createMemory(4096)
    const mapped = native.mapMemory(made.fd, 4096)
    console.log('mapped')
    new Uint8Array(mapped)[0] = 1
    console.log('written')`
  const { stdout, signal } = spawnSync(process.execPath, ['-e', script, addonPath()], { encoding: 'utf8' })
  assert.equal(stdout, 'mapped\n')
  assert.equal(signal, 'SIGSEGV')
})

test('unmap detaches: every view has length 0, the mapping is gone, a second time is nothing', async () => {
  const before = await mappings()
  const made = create()
  const mapped = native.mapMemory(made.fd, BYTES)
  assert.ok(mapped instanceof ArrayBuffer)
  const views = [new Uint8Array(mapped), new Uint8Array(made.buffer)]
  assert.equal(await mappings(), before + 2)
  native.unmap(mapped)
  native.unmap(mapped)
  native.unmap(made.buffer)
  assert.deepEqual(
    views.map((view) => [view.length, view[0]]),
    [
      [0, undefined],
      [0, undefined],
    ],
  )
  closeSync(made.fd)
  await eventually(
    () => censusOf().mappings <= before,
    LIMIT_MS,
    () => 'the mappings to go',
  )
})

test('pitfall 36: memory that nobody refers to any more is unmapped by the garbage collector', async () => {
  const before = await mappings()
  const leave = (): void => {
    for (let i = 0; i < 10; i += 1) closeSync(create().fd)
  }
  leave()
  await eventually(
    () => censusOf().mappings <= before,
    LIMIT_MS,
    () => 'the mappings to go',
  )
})

test('pitfall 10: memory is close-on-exec', () => {
  const made = create()
  const { stdout } = spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' })
  assert.ok(!stdout.includes('memfd:sockswitch'), stdout)
  release(made)
})

test('memory of an impossible size is an errno, not an exception, and costs no descriptor', () => {
  const before = censusOf().descriptors
  assert.equal(native.createMemory(-4096), EINVAL)
  assert.equal(native.createMemory(0), EINVAL)
  assert.deepEqual(censusOf().descriptors, before)
})

test('mapMemory refuses another size than the memory has', () => {
  const made = create()
  for (const bytes of [4096, BYTES - 4096, BYTES + 4096, BYTES * 2]) {
    assert.equal(native.mapMemory(made.fd, bytes), EPERM)
  }
  release(made)
})

test('mapMemory refuses regular files, on tmpfs or not, directories, pipes and what is no descriptor', () => {
  const files = [join(tmpdir(), `sockswitch-test-${process.pid}`), `/dev/shm/sockswitch-test-${process.pid}`]
  for (const path of files) {
    writeFileSync(path, Buffer.alloc(4096))
    const fd = openSync(path, 'r+')
    const mapped = native.mapMemory(fd, 4096)
    closeSync(fd)
    rmSync(path)
    assert.equal(mapped, EPERM, path)
  }
  const folder = openSync('/proc', 'r')
  assert.equal(native.mapMemory(folder, 4096), EPERM)
  closeSync(folder)
  assert.equal(native.mapMemory(9999, 4096), EPERM)
  assert.equal(native.mapMemory(-1, 4096), EPERM)
})

const FOREIGN = {
  'no seals': EPERM,
  'no seal against shrinking': EPERM,
  'no seal against growing': EPERM,
  'no seal against writing': EPERM,
  'no seal against sealing': EPERM,
  'a hole': EPERM,
  'all holes': EPERM,
  'huge pages': EPERM,
  'sealed against all writing': 'mapped',
  'as ours': 'mapped',
  'as ours, read-only descriptor': 'mapped',
} as const

for (const [what, expected] of Object.entries(FOREIGN)) {
  const title = `pitfall 7: foreign memory with ${what}: ${expected === EPERM ? 'refused' : expected}`
  test(title, { skip: NO_PYTHON }, () => {
    const fd = foreignMemory(what)['fd'] as number
    const mapped = native.mapMemory(fd, 8192)
    native.close(fd)
    if (mapped instanceof ArrayBuffer) {
      assert.equal(new Uint8Array(mapped)[0], 'x'.charCodeAt(0))
      native.unmap(mapped)
    }
    assert.equal(mapped instanceof ArrayBuffer ? 'mapped' : mapped, expected)
  })
}
