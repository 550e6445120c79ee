import type { PollSource } from './shm.ts'

/**
 * The typed face of `fabric.node`: endpoints of one event loop over a provider of libfabric. Functions that can fail answer
 * a negative errno instead of their result. Listeners, requests and links are numbers, never used twice.
 */
export interface FabricNative {
  /** Why libfabric cannot be used; empty when it can. */
  readonly problem: string
  /** Of the library that was loaded, such as `1.17`. */
  readonly version: string
  readonly Fabric: new (
    provider: string,
    messages: number,
    messageBytes: number,
    writes: number,
    reads: number,
    arenaBytes: number,
  ) => Fabric
}

export interface Fabric {
  /** Waits for libfabric's first answer, which a thread asks for from the start; 0 or why there is no such provider. */
  open(): number
  /** libfabric has answered: {@link open} does not wait. */
  readonly answered: boolean
  /** Readable from then on; a negative errno when there is none. */
  readonly answeredFd: number
  /** What the provider runs on, one for each local address; after {@link open}. */
  devices(): readonly FabricDevice[]
  listen(address: string, service: number): number
  closeListener(listener: number): void
  /** Who asks for a link, and what it said. */
  request(request: number): LinkRequest | undefined
  reject(request: number, data: Uint8Array): number
  /** A link that is not connected yet. */
  connect(local: string, address: string, service: number): number
  accept(request: number): number
  /** What the link brings; once. */
  offer(link: number): LinkOffer | undefined
  /** Connects or accepts, with at most 55 bytes for the peer. */
  start(link: number, data: Uint8Array): number
  /** What the peer said when it accepted or refused. */
  peerData(link: number): Uint8Array
  /** Where the peer's mirror of our arena is. */
  setPeer(link: number, address: bigint, key: bigint): void
  /** Sends a message buffer; `-EAGAIN`: later. `reports`: {@link LINK_MESSAGES_DONE} tells once it has gone, not at some time after. */
  send(link: number, message: number, bytes: number, reports: boolean): number
  /** Writes a range of our arena into its mirror; `-EAGAIN`: later. The range stays as it is until it has gone. */
  write(link: number, offset: number, bytes: number): number
  /** Posts a receive buffer again. */
  receive(link: number, buffer: number): number
  /** Lets the peer read `memory`, which stays where it is until a message sent after {@link conceal} has gone. */
  expose(link: number, memory: Uint8Array): Exposure | number
  /** Takes that back: nothing that the peer asks for from here on is read. */
  conceal(link: number, exposure: number): void
  /** Reads what the peer has exposed into `target`, the fabric's until {@link EVENT_READ} or `close`; the read's number, `-EAGAIN`: later. */
  read(link: number, target: Uint8Array, address: bigint, key: bigint): number
  /** Takes note of what has gone, before the next poll. */
  look(link: number): void
  /** Ends the connection; close the watcher of `fd` before. The memory stays. */
  close(link: number): void
  /** Frees the link and detaches its memory. */
  release(link: number, memory: ArrayBuffer): void
  /** Looks for events without waiting; true when {@link events} holds some. */
  poll(): boolean
  /** Words: events produced, events consumed (ours to write), then four for each: kind, number, and two more. Once. */
  events(): ArrayBuffer
  stats(): FabricCounters
  /** Ends everything; nothing may be called any more. */
  destroy(): void
  /** Readable when connections are asked for, made or ended. */
  readonly eventFd: number
  readonly source: PollSource
}

export interface FabricDevice {
  /** As libfabric calls it: an RDMA device, or a network interface. */
  readonly name: string
  readonly address: string
}

interface LinkRequest {
  readonly address: string
  readonly port: number
  readonly data: Uint8Array
}

export interface LinkOffer {
  /** Two words (messages sent and done; whether to announce room), the messages out and in, our arena, the peer's mirror. */
  readonly memory: ArrayBuffer
  /** Readable when messages have come or gone. */
  readonly fd: number
  readonly address: bigint
  readonly key: bigint
}

interface Exposure {
  readonly exposure: number
  /** What the peer must know to read there. */
  readonly address: bigint
  readonly key: bigint
}

export interface FabricCounters {
  readonly messagesSent: number
  readonly messagesReceived: number
  readonly writes: number
  readonly writtenBytes: number
  readonly reads: number
  readonly readBytes: number
  /** Reports of libfabric: every message received, and one in some of what was sent. */
  readonly completions: number
  /** Posts that had to wait for room. */
  readonly retries: number
  readonly errors: number
}

/** Kinds of events; the second word is a request or a link. */
export const EVENT_REQUEST = 1
export const EVENT_CONNECTED = 2
/** Then an errno, 0 for an orderly end, and the provider's own error. */
export const EVENT_ENDED = 3
/** Then the receive buffer and the bytes in it. */
export const EVENT_RECEIVED = 4
export const EVENT_ROOM = 5
/** Then the number of the read that is done. */
export const EVENT_READ = 6

export const LINK_WORD_BYTES = 4096
/** Word indexes at the start of a link's memory. */
export const LINK_MESSAGES_DONE = 0
export const LINK_WANTS_ROOM = 1
