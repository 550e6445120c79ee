/** The native functions as an attacker uses them: channels by hand, and the few things that Node itself lacks. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { loadShm } from '../../src/native/load.ts'
import type { ReceivedMessage, ShmNative, Watcher } from '../../src/native/shm.ts'
import { deferred, within } from '../support/waiting.ts'
import type { Deferred } from '../support/waiting.ts'

export const LIMIT_MS = 10_000
const EAGAIN = 11

function load(): ShmNative {
  const loaded = loadShm()
  if ('reason' in loaded) throw new Error(loaded.reason)
  return loaded.native
}

export const native = load()

/** One end of a rendezvous or link channel, with nothing between the test and the packets. */
export class Channel {
  readonly fd: number
  readonly #arrived: (ReceivedMessage | 'end')[] = []
  readonly #watcher: Watcher
  #taker: Deferred<ReceivedMessage | 'end'> | undefined
  #open = true

  constructor(fd: number) {
    if (fd < 0) throw new Error(`Cannot use a channel: errno ${-fd}`)
    this.fd = fd
    this.#watcher = new native.Watcher(fd, () => {
      this.#read()
    })
  }

  static connect(name: string): Channel {
    return new Channel(native.connect(name))
  }

  send(bytes: Uint8Array, fds: readonly number[] = []): void {
    const status = native.send(this.fd, bytes, fds)
    if (status !== 0) throw new Error(`Cannot send: errno ${-status}`)
  }

  /** The next packet, or the end of the stream. */
  next(): Promise<ReceivedMessage | 'end'> {
    const arrived = this.#arrived.shift()
    if (arrived !== undefined) return Promise.resolve(arrived)
    this.#taker = deferred()
    return within(this.#taker.promise, LIMIT_MS, 'a packet or the end of a channel')
  }

  /** Waits for the end, past whatever packets come before it. */
  async ended(): Promise<void> {
    for (let got = await this.next(); got !== 'end'; got = await this.next()) closeAll(got.fds)
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#watcher.close()
    for (const got of this.#arrived) if (got !== 'end') closeAll(got.fds)
    native.close(this.fd)
  }

  #read(): void {
    for (;;) {
      const received = native.receive(this.fd)
      if (received === -EAGAIN) return
      if (typeof received === 'number') {
        this.#watcher.close()
        this.#deliver('end')
        return
      }
      this.#deliver(received)
    }
  }

  #deliver(got: ReceivedMessage | 'end'): void {
    const taker = this.#taker
    this.#taker = undefined
    if (taker === undefined) this.#arrived.push(got)
    else taker.resolve(got)
  }
}

/** Takes channels at a rendezvous name. */
export class Door {
  readonly #fd: number
  readonly #watcher: Watcher
  readonly #came: Channel[] = []
  readonly #takers: Deferred<Channel>[] = []

  constructor(name: string) {
    this.#fd = native.listen(name)
    if (this.#fd < 0) throw new Error(`Cannot listen at '${name}': errno ${-this.#fd}`)
    this.#watcher = new native.Watcher(this.#fd, () => {
      for (let fd = native.accept(this.#fd); fd >= 0; fd = native.accept(this.#fd)) {
        const channel = new Channel(fd)
        const taker = this.#takers.shift()
        if (taker === undefined) this.#came.push(channel)
        else taker.resolve(channel)
      }
    })
  }

  /** The next one who comes. */
  next(): Promise<Channel> {
    const came = this.#came.shift()
    if (came !== undefined) return Promise.resolve(came)
    const taker = deferred<Channel>()
    this.#takers.push(taker)
    return within(taker.promise, LIMIT_MS, 'somebody at the door')
  }

  close(): void {
    this.#watcher.close()
    native.close(this.#fd)
    for (const channel of this.#came) channel.close()
  }
}

export function closeAll(fds: readonly number[]): void {
  for (const fd of fds) native.close(fd)
}

let names = 0

/** A name nobody else uses. */
export function freshName(): string {
  names += 1
  return `attack/${process.pid}/${names}`
}

/** An eventfd that nobody polls; the caller's to close. */
export async function lonelyEventfd(): Promise<number> {
  const name = freshName()
  const door = new Door(name)
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const worker = new Worker(new URL(`./eventfd-donor.${extension}`, import.meta.url), { workerData: name })
  const gone = once(worker, 'exit')
  const channel = await door.next()
  const got = await channel.next()
  await within(gone, LIMIT_MS, 'the donor to end')
  channel.close()
  door.close()
  const [fd] = got === 'end' ? [] : got.fds
  if (fd === undefined) throw new Error('Cannot get an eventfd: the donor sent none')
  return fd
}
