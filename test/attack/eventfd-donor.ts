/** A worker that makes an eventfd, passes it on, and ends: nobody polls or drains the descriptor that is left. */
import { workerData } from 'node:worker_threads'
import { loadShm } from '../../src/native/load.ts'

const loaded = loadShm()
if ('reason' in loaded) throw new Error(loaded.reason)
const { native } = loaded
const channel = native.connect(workerData as string)
native.send(channel, new Uint8Array([1]), [new native.Poller(0, () => false).doorbell])
native.close(channel)
