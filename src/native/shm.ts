/**
 * The typed face of `shm.node`. Functions that can fail answer a negative errno instead of their result; nothing here
 * interprets it. Descriptors belong to the caller, who closes them.
 */
export interface ShmNative {
  /** Creates fully allocated, sealed memory, mapped read-write. `bytes` is a multiple of 4096. */
  createMemory(bytes: number): { readonly fd: number; readonly buffer: ArrayBuffer } | number
  /** Maps a peer's memory read-only after checking seals, size and kind. Writing to it ends the process. */
  mapMemory(fd: number, bytes: number): ArrayBuffer | number
  /** Unmaps; every view of `buffer` has length 0 afterwards. Idempotent. */
  unmap(buffer: ArrayBuffer): void
  /** Makes malloc keep up to 32 MiB of what is freed: a fast stream frees buffers by the gigabyte. For the whole process. */
  keepFreedMemory(): void
  close(fd: number): number

  /** Abstract SOCK_SEQPACKET sockets, nonblocking and close-on-exec. */
  listen(name: string): number
  connect(name: string): number
  accept(fd: number): number
  peerCredentials(fd: number): { readonly pid: number; readonly uid: number } | number
  /** At most 1024 bytes and 4 descriptors. */
  send(fd: number, bytes: Uint8Array, fds: readonly number[]): number
  /** A message; 0 when the other end is closed. */
  receive(fd: number): ReceivedMessage | number

  /** Rings a doorbell. */
  ring(fd: number): number
  isDoorbell(fd: number): boolean

  /**
   * The TCP listener that a connect to the address would reach: who owns it, where it is bound, and which socket it is. Where
   * several share the port (`SO_REUSEPORT`), the one that a connect from `fromAddress` and `fromPort` would reach.
   */
  findTcpListener(
    address: string,
    port: number,
    fromAddress?: string,
    fromPort?: number,
  ): FoundListener | number
  /** Which socket a descriptor is; a negative errno when it is not a TCP socket that listens. */
  describeListener(fd: number): { readonly cookie: string; readonly sharesPort: boolean } | number
  /** Keeps a TCP port on the local address from which a connect to the address would leave. */
  reserveTcpPort(
    address: string,
    port: number,
  ): { readonly fd: number; readonly address: string; readonly port: number } | number
  /** Two connected Unix stream sockets. */
  socketPair(): readonly [number, number] | number

  readonly Watcher: new (fd: number, onReadable: () => void) => Watcher
  readonly Poller: new (spinNanoseconds: number, drain: () => boolean | NativeCall) => Poller
}

export interface FoundListener {
  readonly uid: number
  readonly address: string
  /** No two sockets of a running system have the same. */
  readonly cookie: string
  /** What `/proc/PID/fd` calls it. */
  readonly inode: number
}

export interface ReceivedMessage {
  readonly bytes: Uint8Array
  readonly fds: readonly number[]
}

/** Tells when a descriptor is readable or at its end. Keeps no process alive. Close it before the descriptor. */
export interface Watcher {
  close(): void
}

/**
 * One per event loop, for the life of the loop. `drain` runs one event and says whether local work is left; a call that it
 * returns instead is made outside of any callback.
 */
export interface Poller {
  /** Watches a link: the peer's cursor of produced notifications against our cursor of consumed ones, byte offsets. */
  watch(
    slot: number,
    peer: ArrayBuffer,
    producedOffset: number,
    own: ArrayBuffer,
    consumedOffset: number,
  ): number
  unwatch(slot: number): void
  /**
   * Looks for work in another addon too; see `native/poll_source.h`.
   *
   * @param spinNanoseconds The longest spin while no link is watched.
   */
  addSource(source: PollSource, spinNanoseconds: number): void
  removeSource(source: PollSource): void
  /** Makes the loop call `drain` soon although no link announces anything. */
  wake(): void
  keepAlive(on: boolean): void
  stats(): PollerStats
  readonly doorbell: number
  readonly statusFd: number
}

declare const pollSourceBrand: unique symbol

/** A pointer that one addon hands to another. */
export interface PollSource {
  readonly [pollSourceBrand]: true
}

/** A call of native code: receiver, method, argument. */
export type NativeCall = readonly [receiver: object, method: unknown, argument: unknown]

export interface PollerStats {
  /** Loop turns that found work. */
  readonly turns: number
  readonly spins: number
  /** Spins that found work. */
  readonly hits: number
  readonly sleeps: number
  /** Doorbell rings received. */
  readonly wakes: number
}
