import { WSA } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'
import * as layout from './layout.ts'

/** What each side says when a link is made; rides in the endpoint's private data, of which 55 bytes are certain. */
export interface LinkHello {
  /** Where the speaker's mirror of the listener's arena is, and the key that opens it for writing. */
  readonly address: bigint
  readonly key: bigint
}

const BYTES = 32
const KIND_HELLO = 1
const KIND_REFUSAL = 2

export function encodeHello(hello: LinkHello): Uint8Array {
  const bytes = header(KIND_HELLO)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(16, hello.address, true)
  view.setBigUint64(24, hello.key, true)
  return bytes
}

export function encodeRefusal(code: WsaCode): Uint8Array {
  const bytes = header(KIND_REFUSAL)
  new DataView(bytes.buffer).setUint32(16, code, true)
  return bytes
}

function header(kind: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, layout.WIRE_MAGIC, true)
  view.setUint16(4, layout.WIRE_VERSION, true)
  view.setUint16(6, kind, true)
  view.setUint32(8, layout.ARENA_BYTES, true)
  view.setUint32(12, (layout.MESSAGES << 16) | layout.MESSAGE_BYTES, true)
  return bytes
}

/** The hello, or why there is none. Trailing bytes are the provider's padding. */
export function decodeHello(bytes: Uint8Array): LinkHello | WsaCode {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const status = checkHeader(view)
  if (status !== 0) return status
  if (view.getUint16(6, true) !== KIND_HELLO) return WSA.WSAEFAULT
  const same =
    view.getUint32(8, true) === layout.ARENA_BYTES &&
    view.getUint32(12, true) === ((layout.MESSAGES << 16) | layout.MESSAGE_BYTES)
  if (!same) return WSA.WSAVERNOTSUPPORTED
  return { address: view.getBigUint64(16, true), key: view.getBigUint64(24, true) }
}

const REFUSALS: readonly number[] = [
  WSA.WSAEACCES,
  WSA.WSAVERNOTSUPPORTED,
  WSA.WSAENOBUFS,
  WSA.WSAEMFILE,
  WSA.WSAEPROCLIM,
  WSA.WSAEFAULT,
]

/** Why a link was refused; undefined when the refusal is not one of ours. */
export function decodeRefusal(bytes: Uint8Array): WsaCode | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const status = checkHeader(view)
  if (status === WSA.WSAVERNOTSUPPORTED) return status
  if (status !== 0 || view.getUint16(6, true) !== KIND_REFUSAL) return undefined
  const code = view.getUint32(16, true)
  return REFUSALS.includes(code) ? (code as WsaCode) : WSA.WSAENETDOWN
}

function checkHeader(view: DataView): WsaCode | 0 {
  if (view.byteLength < 6 || view.getUint32(0, true) !== layout.WIRE_MAGIC) return WSA.WSAEFAULT
  if (view.getUint16(4, true) !== layout.WIRE_VERSION) return WSA.WSAVERNOTSUPPORTED
  return view.byteLength < BYTES ? WSA.WSAEFAULT : 0
}
