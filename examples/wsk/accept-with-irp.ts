// The seed's first sample, "Listening for and accepting incoming connections", line by line: WskAccept with an IRP.
import { fileURLToPath } from 'node:url'
import {
  IoAllocateIrp,
  IoFreeIrp,
  IoSetCompletionRoutine,
  STATUS_MORE_PROCESSING_REQUIRED,
  STATUS_SUCCESS,
} from '../../src/wsk.ts'
import type {
  Irp,
  NtStatus,
  WskClientConnectionDispatch,
  WskConnectionSocket,
  WskListenSocket,
} from '../../src/wsk.ts'
import { echo } from './echo.ts'
import { serve, startListening } from './start.ts'

/** What the seed calls the socket's context; here it knows with whom to go on. */
export interface AcceptContext {
  readonly listener: WskListenSocket
  accepted: number
}

// Function to accept an incoming connection
export function AcceptConnection(
  Socket: WskListenSocket,
  AcceptSocketContext: AcceptContext,
  AcceptSocketDispatch: WskClientConnectionDispatch | null,
): NtStatus {
  // Get pointer to the socket's provider dispatch structure
  const Dispatch = Socket.dispatch

  // Allocate an IRP. The seed checks whether there is memory for it; here there is, or the process ends.
  const Irp = IoAllocateIrp<WskConnectionSocket>()

  // Set the completion routine for the IRP. The seed uses one pointer both as the context of this routine and as that of the
  // socket to come; the two have nothing to do with each other.
  IoSetCompletionRoutine(Irp, AcceptComplete, AcceptSocketContext, true, true, true)

  // Initiate the accept operation on the socket. The flags are reserved: anything but 0 is refused.
  const Status = Dispatch.WskAccept(Socket, 0, AcceptSocketContext, AcceptSocketDispatch, null, null, Irp)

  // Return the status of the call to WskAccept()
  return Status
}

// The accept IoCompletion routine
function AcceptComplete(Irp: Irp<WskConnectionSocket>, Context: unknown): NtStatus {
  const AcceptSocketContext = Context as AcceptContext

  // Check the result of the accept operation
  if (Irp.ioStatus.status === STATUS_SUCCESS && Irp.ioStatus.information !== 0) {
    // Get the accepted socket object from the IRP
    const Socket = Irp.ioStatus.information

    // Perform the next operation on the accepted socket
    AcceptSocketContext.accepted += 1
    echo(Socket)

    // And accept the next one; the seed leaves that out.
    AcceptConnection(AcceptSocketContext.listener, AcceptSocketContext, null)
  }
  // An error: the listener is closed, or dead. There is no socket, and nothing to do here.

  // Free the IRP, after a failure, too: the routine runs whatever happens.
  IoFreeIrp(Irp)

  // Always return STATUS_MORE_PROCESSING_REQUIRED to terminate the completion processing of the IRP.
  return STATUS_MORE_PROCESSING_REQUIRED
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const listening = await startListening(null)
  AcceptConnection(listening.socket, { listener: listening.socket, accepted: 0 }, null)
  serve('accept-with-irp', listening)
}
