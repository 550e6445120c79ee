import type { SockAddr } from './addresses.ts'
import type { Out, WskList } from './buffer.ts'
import { Client } from './client.ts'
import * as wsk from './constants.ts'
import type {
  ClientDispatchFor,
  ControlInput,
  SocketFor,
  WskClientConnectionDispatch,
  WskClientDispatch,
  WskConnectionSocket,
} from './dispatch.ts'
import type { IrpSink } from './irp.ts'
import type { AddrInfo, AddrInfoHints } from './names.ts'
import type { SecurityDescriptor } from './sharing.ts'
import { STATUS } from './status.ts'
import type { NtStatus } from './status.ts'

/** @source WSK_CLIENT_NPI */
export interface WskClientNpi {
  readonly clientContext: unknown
  readonly dispatch: WskClientDispatch
}

/** The client object: the first argument of every client-level function. @source WSK_CLIENT */
export interface WskClient {
  readonly captured: boolean
}

/** @source WSK_PROVIDER_NPI */
export interface WskProviderNpi {
  readonly client: WskClient
  readonly dispatch: WskProviderDispatch
}

/** @source WSK_PROVIDER_CHARACTERISTICS */
export interface WskProviderCharacteristics {
  readonly highestVersion: number
  readonly lowestVersion: number
}

/** The client-level functions. @source WSK_PROVIDER_DISPATCH */
export interface WskProviderDispatch {
  readonly version: number
  readonly WskSocket: <F extends wsk.CategoryFlag>(
    client: WskClient | null,
    addressFamily: number,
    socketType: number,
    protocol: number,
    flags: F,
    socketContext: unknown,
    dispatch: ClientDispatchFor<F> | null,
    owningProcess: unknown,
    owningThread: unknown,
    securityDescriptor: SecurityDescriptor | null,
    irp: IrpSink<SocketFor<F>> | null,
  ) => NtStatus
  readonly WskSocketConnect: (
    client: WskClient | null,
    socketType: number,
    protocol: number,
    localAddress: SockAddr,
    remoteAddress: SockAddr,
    flags: 0,
    socketContext: unknown,
    dispatch: WskClientConnectionDispatch | null,
    owningProcess: unknown,
    owningThread: unknown,
    securityDescriptor: SecurityDescriptor | null,
    irp: IrpSink<WskConnectionSocket> | null,
  ) => NtStatus
  readonly WskControlClient: <T>(
    client: WskClient | null,
    controlCode: number,
    input: ControlInput | null,
    output: Out<T> | WskList<T> | null,
    irp: IrpSink<number> | null,
  ) => NtStatus
  readonly WskGetAddressInfo: (
    client: WskClient | null,
    nodeName: string | null,
    serviceName: string | null,
    hints: AddrInfoHints | null,
    result: Out<AddrInfo>,
    irp: IrpSink<0> | null,
  ) => NtStatus
  /** Nothing has to be freed here; it takes the list away all the same. */
  readonly WskFreeAddressInfo: (client: WskClient | null, result: Out<AddrInfo>) => void
  readonly WskGetNameInfo: (
    client: WskClient | null,
    address: SockAddr,
    nodeName: Out<string> | null,
    serviceName: Out<string> | null,
    flags: number,
    irp: IrpSink<0> | null,
  ) => NtStatus
}

/** What there is: every minor version of one major version holds all of those before it (WSK-REG-7). */
export const VERSION = wsk.MAKE_WSK_VERSION(1, 0)

const withClient = (client: WskClient | null, call: (client: Client) => NtStatus): NtStatus =>
  client instanceof Client ? call(client) : STATUS.STATUS_INVALID_HANDLE

export const providerDispatch: WskProviderDispatch = Object.freeze({
  version: VERSION,
  WskSocket: (
    client,
    family,
    socketType,
    protocol,
    flags,
    context,
    dispatch,
    owner,
    _thread,
    security,
    irp,
  ) =>
    withClient(client, (it) =>
      it.socket({ family, socketType, protocol, context, dispatch, owner, security }, flags, irp),
    ),
  WskSocketConnect: (
    client,
    socketType,
    protocol,
    local,
    remote,
    flags,
    context,
    dispatch,
    owner,
    _thread,
    security,
    irp,
  ) =>
    withClient(client, (it) =>
      it.socketConnect(
        { socketType, protocol, context, dispatch, owner, security },
        local,
        remote,
        flags,
        irp,
      ),
    ),
  WskControlClient: (client, code, input, output, irp) =>
    withClient(client, (it) => it.control(code, input, output as Out<unknown> | null, irp)),
  WskGetAddressInfo: (client, node, service, hints, result, irp) =>
    withClient(client, (it) => it.getAddressInfo(node, service, hints, result, irp)),
  WskFreeAddressInfo: (_client, result) => {
    result.value = undefined
  },
  WskGetNameInfo: (client, address, node, service, flags, irp) =>
    withClient(client, (it) => it.getNameInfo(address, node, service, flags, irp)),
} satisfies WskProviderDispatch)
