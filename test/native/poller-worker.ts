/**
 * A worker with a link of its own to the thread that started it, made of nothing but native functions: it answers each
 * notification with one of its own, for as long as it lives.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { loadShm } from '../../src/native/load.ts'

const PRODUCED = 0
const CONSUMED = 16

const loaded = loadShm()
if ('reason' in loaded) throw new Error(loaded.reason)
const { native } = loaded
const channel = native.connect(workerData as string)
const own = native.createMemory(4096)
if (typeof own === 'number') throw new Error('no memory')
const ownWords = new Int32Array(own.buffer)
let peerWords = new Int32Array(0)
let peerDoorbell = -1

const poller = new native.Poller(20_000, () => {
  Atomics.store(ownWords, CONSUMED, Atomics.load(peerWords, PRODUCED))
  Atomics.add(ownWords, PRODUCED, 1)
  native.ring(peerDoorbell)
  return false
})
native.send(channel, new Uint8Array([1]), [own.fd, poller.doorbell])
new native.Watcher(channel, () => {
  const got = native.receive(channel)
  if (typeof got === 'number') return
  const [memory, doorbell] = got.fds as [number, number]
  const mapped = native.mapMemory(memory, 4096)
  if (typeof mapped === 'number') throw new Error('no mapping')
  peerWords = new Int32Array(mapped)
  peerDoorbell = doorbell
  poller.watch(0, mapped, PRODUCED * 4, own.buffer, CONSUMED * 4)
  poller.keepAlive(true)
  parentPort?.postMessage('linked')
})
// Keeps the loop going until the link does.
const wait = setInterval(() => {
  if (peerDoorbell >= 0) clearInterval(wait)
}, 5)
