// "Perform the next operation on the accepted socket": sends back what comes, until the peer ends; then ends, and closes.
import { Irp, STATUS_MORE_PROCESSING_REQUIRED, STATUS_SUCCESS, wskBuf } from '../../src/wsk.ts'
import type { NtStatus, WskConnectionSocket } from '../../src/wsk.ts'

const BUFFER_BYTES = 2048

export function echo(socket: WskConnectionSocket): void {
  const buffer = Buffer.alloc(BUFFER_BYTES)
  // One IRP for everything: an IRP may be reused once its completion routine has run.
  const irp = new Irp<number>()

  const receive = (): void => {
    irp.reuse().setCompletionRoutine(received)
    socket.dispatch.WskReceive(socket, wskBuf(buffer), 0, irp)
  }
  const received = (): NtStatus => {
    const { status, information } = irp.ioStatus
    if (status !== STATUS_SUCCESS) close()
    else if (information === 0) disconnect()
    else {
      irp.reuse().setCompletionRoutine(sent)
      socket.dispatch.WskSend(socket, wskBuf(buffer, 0, information), 0, irp)
    }
    return STATUS_MORE_PROCESSING_REQUIRED
  }
  const sent = (): NtStatus => {
    if (irp.ioStatus.status === STATUS_SUCCESS) receive()
    else close()
    return STATUS_MORE_PROCESSING_REQUIRED
  }
  const disconnect = (): void => {
    const end = new Irp<0>().setCompletionRoutine(() => {
      close()
      return STATUS_MORE_PROCESSING_REQUIRED
    })
    socket.dispatch.WskDisconnect(socket, null, 0, end)
  }
  const close = (): void => {
    socket.dispatch.WskCloseSocket(socket, new Irp<0>())
  }
  receive()
}
