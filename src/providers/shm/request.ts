import { isIP } from 'node:net'
import type { SocketAddress } from '../../spi/index.ts'
import { MAX_CONNECT_DATA_BYTES } from '../../spi/index.ts'

/** What an opener writes into its slot's region to ask for a connection. */
export interface SlotRequest {
  /** The rendezvous name of the listener it wants, so that one link serves several. */
  readonly listener: string
  readonly remote: SocketAddress
  readonly local: SocketAddress
  readonly callerData: Uint8Array
}

/** Writes `request` at `offset`; returns its length. */
export function writeRequest(bytes: Uint8Array, offset: number, request: SlotRequest): number {
  let at = offset
  for (const text of [request.listener, request.remote.address, request.local.address]) {
    bytes[at] = text.length
    at += 1
    for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i)
    at += text.length
  }
  for (const port of [request.remote.port, request.local.port]) {
    bytes[at] = port >>> 8
    bytes[at + 1] = port & 255
    at += 2
  }
  bytes.set(request.callerData, at)
  return at + request.callerData.length - offset
}

/**
 * Reads a request out of a private copy of what the peer wrote. Undefined when it is malformed.
 *
 * @param bytes A copy: nothing in here changes while it is read.
 */
export function readRequest(bytes: Uint8Array): SlotRequest | undefined {
  let at = 0
  const text = (): string | undefined => {
    const length = bytes[at]
    if (length === undefined || at + 1 + length > bytes.length) return undefined
    const found = String.fromCharCode(...bytes.subarray(at + 1, at + 1 + length))
    at += 1 + length
    return found
  }
  const listener = text()
  const remote = text()
  const local = text()
  if (listener === undefined || remote === undefined || local === undefined || at + 4 > bytes.length)
    return undefined
  const port = (offset: number): number => ((bytes[at + offset] ?? 0) << 8) | (bytes[at + offset + 1] ?? 0)
  const remoteAddress = endpoint(remote, port(0))
  const localAddress = endpoint(local, port(2))
  const callerData = bytes.slice(at + 4)
  if (remoteAddress === undefined || localAddress === undefined) return undefined
  if (callerData.length > MAX_CONNECT_DATA_BYTES) return undefined
  return { listener, remote: remoteAddress, local: localAddress, callerData }
}

function endpoint(address: string, port: number): SocketAddress | undefined {
  const version = isIP(address)
  return version === 0 || address.includes('%')
    ? undefined
    : { family: version === 4 ? 'IPv4' : 'IPv6', address, port }
}
