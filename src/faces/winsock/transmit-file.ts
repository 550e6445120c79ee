import { Overlapped, WSA } from '../../spi/index.ts'
import type { Result } from '../../spi/index.ts'
import type { Completion } from './completion.ts'

/** A file to read from; a `FileHandle` of `node:fs/promises` is one. */
export interface FileSource {
  read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>
}

interface Sender {
  send(buffers: Uint8Array, flags: number, overlapped: Overlapped): Result<number>
}

const PIECE_BYTES = 64 << 10

/** Sends a stretch of a file in pieces; `overlapped` ends when the last was taken, or with what went wrong. */
export function transmitFile(
  socket: Sender,
  completion: Completion,
  file: FileSource,
  offset: number,
  length: number,
  overlapped: Overlapped,
): void {
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, Math.max(1, length)))
  overlapped.begin()
  let done = 0
  const step = (): void => {
    if (done >= length) {
      completion.end(overlapped, 0, done)
      return
    }
    file.read(buffer, 0, Math.min(buffer.length, length - done), offset + done).then(
      ({ bytesRead }) => {
        if (bytesRead === 0) completion.end(overlapped, 0, done)
        else sendPiece(bytesRead)
      },
      () => {
        completion.end(overlapped, WSA.WSAEFAULT, 0)
      },
    )
  }
  const sendPiece = (bytes: number): void => {
    const piece = new Overlapped({
      completed: (status) => {
        done += bytes
        if (status === 0) step()
        else completion.end(overlapped, status, 0)
      },
    })
    const started = socket.send(buffer.subarray(0, bytes), 0, piece)
    if (!started.ok && started.error !== WSA.WSA_IO_PENDING) completion.end(overlapped, started.error, 0)
  }
  step()
}
