// The seed's third sample, line by line: conditional accept, with WskInspectEvent and WskAbortEvent.
import { fileURLToPath } from 'node:url'
import {
  Irp,
  STATUS_REQUEST_NOT_ACCEPTED,
  STATUS_SUCCESS,
  WSK_EVENT_ACCEPT,
  WskInspectAccept,
  WskInspectPend,
  WskInspectReject,
  inspectIdKey,
} from '../../src/wsk.ts'
import type {
  NtStatus,
  SockAddr,
  WskClientListenDispatch,
  WskInspectAction,
  WskInspectId,
} from '../../src/wsk.ts'
import { enable } from './accept-event.ts'
import { echo } from './echo.ts'
import { serve, startListening } from './start.ts'
import type { Listening } from './start.ts'

/** Decides about an address: now, or after a while. */
export type Judge = (remote: SockAddr) => 'accept' | 'reject' | Promise<'accept' | 'reject'>

// Inspect IDs for pending inspections. The seed has one global variable (without its semicolon): a second request would have
// overwritten the first.
const PendingInspectIDs = new Map<string, WskInspectId>()

interface ListenContext {
  listening: Listening | undefined
  readonly judge: Judge
}

// A listening socket's WskInspectEvent event callback function
function WskInspectEvent(
  SocketContext: unknown,
  _LocalAddress: SockAddr | null,
  RemoteAddress: SockAddr | null,
  InspectID: WskInspectId | null,
): WskInspectAction {
  // Check for a valid inspect ID
  if (InspectID !== null && RemoteAddress !== null) {
    const context = SocketContext as ListenContext

    // Inspect local and/or remote address of the incoming connection request to determine if the connection should be
    // accepted or rejected.
    const verdict = context.judge(RemoteAddress)

    // If the incoming connection should be accepted. (The seed writes InspectAccept; the names have a prefix.)
    if (verdict === 'accept') return WskInspectAccept

    // If the incoming connection should be rejected
    if (verdict === 'reject') return WskInspectReject

    // Cannot determine immediately: save the inspect ID while the inspection is pending, by value. This will be passed to
    // WskInspectComplete when the inspection process is completed.
    const PendingInspectID: WskInspectId = { ...InspectID }
    PendingInspectIDs.set(inspectIdKey(PendingInspectID), PendingInspectID)
    void verdict.then((decision) => {
      complete(context, PendingInspectID, decision)
    })

    // Return status indicating that the result of the inspection process for the incoming connection request is pending
    return WskInspectPend
  }

  // Error with listening socket: close it. What is returned then has no meaning.
  return WskInspectReject
}

function complete({ listening }: ListenContext, id: WskInspectId, decision: 'accept' | 'reject'): void {
  // It may have been aborted meanwhile: whoever comes second finds it gone.
  if (listening === undefined || !PendingInspectIDs.delete(inspectIdKey(id))) return
  const { socket } = listening
  const action = decision === 'accept' ? WskInspectAccept : WskInspectReject
  socket.dispatch.WskInspectComplete(socket, id, action, new Irp<0>())
}

// A listening socket's WskAbortEvent event callback function
function WskAbortEvent(_SocketContext: unknown, InspectID: WskInspectId): NtStatus {
  // Terminate the inspection for the incoming connection request with a matching inspect ID. To test for a matching inspect
  // ID, the contents must be compared, not the objects.
  PendingInspectIDs.delete(inspectIdKey(InspectID))
  process.stdout.write(`${JSON.stringify({ event: 'aborted', serialNumber: InspectID.serialNumber })}\n`)
  // The seed returns nothing; the answer is always success.
  return STATUS_SUCCESS
}

/** An accepted inspection delivers nothing by itself: the connection comes the ordinary way, here by WskAcceptEvent. */
const ListenDispatch: WskClientListenDispatch = {
  WskInspectEvent,
  WskAbortEvent,
  WskAcceptEvent(_SocketContext, _Flags, _LocalAddress, _RemoteAddress, AcceptSocket) {
    if (AcceptSocket === null) return STATUS_REQUEST_NOT_ACCEPTED
    echo(AcceptSocket)
    return STATUS_SUCCESS
  },
}

export async function startInspecting(judge: Judge): Promise<Listening> {
  const context: ListenContext = { listening: undefined, judge }
  const listening = await startListening(ListenDispatch, { conditional: true, context })
  context.listening = listening
  enable(listening.socket, WSK_EVENT_ACCEPT)
  return listening
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const verdict = process.argv[2] ?? 'accept'
  const judge: Judge = () => {
    process.stdout.write(`${JSON.stringify({ event: 'inspected' })}\n`)
    if (verdict === 'accept' || verdict === 'reject') return verdict
    if (verdict === 'never') return new Promise(() => undefined)
    return new Promise((resolve) => setImmediate(resolve, 'accept' as const))
  }
  serve('inspect', await startInspecting(judge))
}
