import { isIP } from 'node:net'
import { MAX_CONNECT_DATA_BYTES, WSA } from '../../spi/index.ts'
import type { ConnectionRequest, SocketAddress, WsaCode } from '../../spi/index.ts'

/**
 * The messages of a link, little endian: kind, count or flags, receives given back, a byte 0, slot (16 bits), two bytes 0; then
 * what the kind says. docs/fabric.md explains them.
 */
export const HEADER_BYTES = 8

/** Gives receives back and says that we live. */
export const NOTHING = 0
/** Opener: a connection, please. */
export const REQUEST = 1
/** Acceptor: yes, with its answer; or no, with a code. */
export const ACCEPTED = 2
export const REFUSED = 3
/** Ranges of the arena and their bytes, all visible at once. */
export const UPDATE = 4
/** This side is through with the slot. */
export const END = 5
/** A further region of the slot, or one that is given back. */
export const REGISTER = 6
export const DEREGISTER = 7
/** To be answered with {@link NOTHING}. */
export const PING = 8
/** The process ends: everything was said, nothing of the peer's is read any more. Answered in kind. */
export const GOODBYE = 9
/** Acceptor: the answer takes a while. */
export const JUDGING = 10
/** Memory of the application that the other side may read: descriptor, bytes, address, key; or may not any more: descriptor. */
export const EXPOSE = 11
export const CONCEAL = 12
export const EXPOSE_BYTES = 24

/** In the count of an {@link UPDATE}: tells the peer once. */
export const SIGNAL = 0x80
export const RANGE_BYTES = 8

export function encodeRequest(request: ConnectionRequest): Uint8Array {
  const parts: number[] = []
  for (const { address, port } of [request.remote, request.local]) {
    parts.push(port & 255, port >>> 8, address.length)
    for (let i = 0; i < address.length; i++) parts.push(address.charCodeAt(i))
  }
  return Uint8Array.from([...parts, ...request.callerData])
}

/** The request in a copy of what the peer wrote; undefined when it is malformed. */
export function decodeRequest(bytes: Uint8Array): ConnectionRequest | undefined {
  let at = 0
  const endpoint = (): SocketAddress | undefined => {
    const length = bytes[at + 2] ?? 256
    if (at + 3 + length > bytes.length) return undefined
    const port = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)
    const address = String.fromCharCode(...bytes.subarray(at + 3, at + 3 + length))
    at += 3 + length
    const version = isIP(address)
    if (version === 0 || address.includes('%')) return undefined
    return { family: version === 4 ? 'IPv4' : 'IPv6', address, port }
  }
  const remote = endpoint()
  const local = remote === undefined ? undefined : endpoint()
  if (remote === undefined || local === undefined) return undefined
  const callerData = bytes.slice(at)
  return callerData.length > MAX_CONNECT_DATA_BYTES ? undefined : { remote, local, callerData }
}

const REFUSALS: readonly number[] = [
  WSA.WSAECONNREFUSED,
  WSA.WSAETIMEDOUT,
  WSA.WSAENOBUFS,
  WSA.WSAEPROCLIM,
  WSA.WSAVERNOTSUPPORTED,
  WSA.WSAEFAULT,
  WSA.WSAEACCES,
  WSA.WSAECONNRESET,
  WSA.WSAEHOSTUNREACH,
  WSA.WSA_QOS_POLICY_FAILURE,
]

/** The peer's word: anything but a known refusal counts as "not final". */
export function refusalCode(code: number): WsaCode {
  return REFUSALS.includes(code) ? (code as WsaCode) : WSA.WSAENETDOWN
}
