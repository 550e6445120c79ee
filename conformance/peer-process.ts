import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath, pathToFileURL } from 'node:url'

import type { RdmaAccess, SanProvider, SocketAddress, Status, Verdict } from '../src/spi/index.ts'
import { countingAddresses, localPeer } from './peer.ts'
import type { AddressSource, AddressUse, Peer, PeerAccepted, PeerSocket } from './peer.ts'
import type { Outcome } from './station.ts'

/** What the module of a {@link childPeer} exports. */
export interface PeerModule {
  readonly create: () => SanProvider
  /** Addresses the child may use; 127.0.0.1 with ports from 50001 unless exported. */
  readonly address?: AddressSource
}

/** Marks a process that was forked to be a peer. */
const MARK = '--sockswitch-conformance-peer'

/** How long a peer process may live once its provider was given back. */
const LAST_WORDS_MS = 15_000

interface Call {
  readonly id: number
  readonly method: keyof Peer
  readonly args: readonly unknown[]
}

interface Answer {
  readonly id: number
  /** Why the call could not be carried out; absent when it was. */
  readonly failed?: string
  readonly value?: unknown
}

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** A far side in another process; each call is a message there and a message back, in order. */
class ChildPeer implements Peer {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #calls = 0

  constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (message) => {
      this.#answered(message as Answer)
    })
    child.on('exit', (code, signal) => {
      const error = new Error(`Cannot reach the peer process: it ended with ${signal ?? String(code)}`)
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
    })
  }

  address(use: AddressUse): Promise<SocketAddress> {
    return this.#call('address', use)
  }

  open(local: SocketAddress): Promise<PeerSocket> {
    return this.#call('open', local)
  }

  listen(socket: PeerSocket, backlog: number): Promise<Status> {
    return this.#call('listen', socket, backlog)
  }

  accept(listener: PeerSocket, verdict: Verdict): Promise<PeerAccepted> {
    return this.#call('accept', listener, verdict)
  }

  connect(socket: PeerSocket, to: SocketAddress, callerData: Uint8Array): Promise<Status> {
    return this.#call('connect', socket, to, callerData)
  }

  outcome(socket: PeerSocket): Promise<Outcome> {
    return this.#call('outcome', socket)
  }

  write(socket: PeerSocket, offset: number, content: Uint8Array): Promise<Status> {
    return this.#call('write', socket, offset, content)
  }

  signal(socket: PeerSocket): Promise<Status> {
    return this.#call('signal', socket)
  }

  receive(socket: PeerSocket): Promise<Status> {
    return this.#call('receive', socket)
  }

  read(socket: PeerSocket, offset: number, length: number): Promise<Uint8Array> {
    return this.#call('read', socket, offset, length)
  }

  register(socket: PeerSocket, content: Uint8Array): Promise<number> {
    return this.#call('register', socket, content)
  }

  expose(socket: PeerSocket, content: Uint8Array, access: RdmaAccess): Promise<number> {
    return this.#call('expose', socket, content, access)
  }

  conceal(socket: PeerSocket, descriptor: number): Promise<Status> {
    return this.#call('conceal', socket, descriptor)
  }

  close(socket: PeerSocket): Promise<Status> {
    return this.#call('close', socket)
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    // Calls still waiting end with the process; nobody is left to ask for them.
    this.#waiting.clear()
    const exit = once(this.#child, 'exit')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), LAST_WORDS_MS)
    this.#child.disconnect()
    const signal: unknown = (await exit)[1]
    clearTimeout(timer)
    if (signal === 'SIGKILL') {
      throw new Error(
        `Cannot end the peer process: its provider keeps it alive ${LAST_WORDS_MS} ms after cleanup`,
      )
    }
  }

  #call<K extends keyof Peer>(method: K, ...args: Parameters<Peer[K]>): ReturnType<Peer[K]> {
    const call: Call = { id: ++this.#calls, method, args }
    return new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(call.id, { resolve, reject })
      this.#child.send(call, (error) => {
        if (error !== null) reject(error)
      })
    }) as ReturnType<Peer[K]>
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if (answer.failed === undefined) waiting?.resolve(answer.value)
    else waiting?.reject(new Error(`In the peer process: ${answer.failed}`))
  }
}

/**
 * Makes far sides in another process: each call forks one, which imports `module`, an absolute path or a `file:` URL of a
 * {@link PeerModule}.
 */
export function childPeer(module: string | URL): () => Promise<Peer> {
  const href = module instanceof URL ? module.href : pathToFileURL(module).href
  return async () => {
    const child = fork(fileURLToPath(import.meta.url), [MARK, href], { serialization: 'advanced' })
    const [first] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as unknown[]
    const failed = isAnswer(first) ? first.failed : 'it ended at once'
    if (failed !== undefined) throw new Error(`Cannot start a peer process with '${href}': ${failed}`)
    return new ChildPeer(child)
  }
}

function isAnswer(message: unknown): message is Answer {
  return typeof message === 'object' && message !== null && 'id' in message
}

/** The child: carries out calls until the parent is gone, then gives the provider back and lets the process end. */
async function serve(href: string): Promise<void> {
  try {
    const { create, address } = (await import(href)) as PeerModule
    const addresses = address ?? countingAddresses({ family: 'IPv4', address: '127.0.0.1' }, 50001)
    const peer = localPeer(create(), addresses)
    process.on('message', (message) => {
      void carryOut(peer, message as Call)
    })
    process.once('disconnect', () => {
      void peer.end()
    })
    answer({ id: 0 })
  } catch (error) {
    answer({ id: 0, failed: messageOf(error) })
    process.disconnect()
  }
}

async function carryOut(peer: Peer, { id, method, args }: Call): Promise<void> {
  try {
    const carryOutHere = peer[method].bind(peer) as (...args: readonly unknown[]) => Promise<unknown>
    answer({ id, value: await carryOutHere(...args) })
  } catch (error) {
    answer({ id, failed: messageOf(error) })
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Sends to the parent; one that is gone needs no answer. */
function answer(message: Answer): void {
  if (process.connected) process.send?.(message)
}

if (process.argv[2] === MARK && process.argv[3] !== undefined) void serve(process.argv[3])
