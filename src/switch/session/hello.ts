import { WSA } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'
import { SESSION_VERSION } from './layout.ts'

const MAGIC = 0x57_53_44_53
const BYTES = 20

/** The sender of the hello can read application memory: large blocks may be announced to it. */
export const FEATURE_RDMA_READ = 1

/** The sender of the hello follows a peer that moves to another process. */
export const FEATURE_MOVE = 2

/** What each side tells the other before the session exists; rides in connect and accept (WSD-NEG-4: at most 256 bytes). */
export interface Hello {
  /** Bytes of the sender's region: the layout both must agree on. */
  readonly regionBytes: number
  /** Largest ring the sender will ever announce. */
  readonly maxRingBytes: number
  /** The sum of `FEATURE_…` bits; unknown ones are ignored. */
  readonly features: number
}

export function encodeHello(hello: Hello): Uint8Array {
  const bytes = new Uint8Array(BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint16(4, SESSION_VERSION, true)
  view.setUint32(8, hello.regionBytes, true)
  view.setUint32(12, hello.maxRingBytes, true)
  view.setUint32(16, hello.features, true)
  return bytes
}

/**
 * The hello in `bytes`; or, where no session can come of it, `WSAVERNOTSUPPORTED` or `WSAEFAULT`.
 *
 * @param regionBytes Of our own regions: both sides' are as large.
 */
export function readHello(bytes: Uint8Array, regionBytes: number): Hello | WsaCode {
  if (bytes.length < 6) return WSA.WSAEFAULT
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint32(0, true) !== MAGIC) return WSA.WSAEFAULT
  if (view.getUint16(4, true) !== SESSION_VERSION) return WSA.WSAVERNOTSUPPORTED
  if (bytes.length !== BYTES || view.getUint32(8, true) !== regionBytes) return WSA.WSAEFAULT
  return {
    regionBytes,
    maxRingBytes: view.getUint32(12, true),
    features: view.getUint32(16, true),
  }
}
