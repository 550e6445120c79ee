import * as wsk from './constants.ts'
import type { WskCategory } from './dispatch.ts'

/** Whether a control operation takes an IRP. */
export type IrpRule = 'required' | 'none' | 'optional'
/** When it is legal. */
export type Timing = 'any' | 'beforeBind' | 'bound' | 'connected'

export interface ControlRow {
  readonly name: string
  readonly set?: { readonly irp: IrpRule; readonly when: Timing; readonly takes: 'flag' | 'number' | 'value' }
  readonly get?: { readonly irp: IrpRule; readonly when: Timing }
  readonly categories: readonly WskCategory[]
  /** Why it answers STATUS_NOT_SUPPORTED here. */
  readonly unsupported?: string
}

const LISTEN_CONNECTION = ['listen', 'connection', 'stream'] as const
const BOUND = ['listen', 'datagram', 'connection', 'stream'] as const
const CONNECTED = ['connection', 'stream'] as const
const ALL = ['basic', ...BOUND] as const

const flag = (when: Timing): Required<ControlRow>['set'] => ({ irp: 'required', when, takes: 'flag' })
const number = (when: Timing): Required<ControlRow>['set'] => ({ irp: 'required', when, takes: 'number' })
const value = (when: Timing): Required<ControlRow>['set'] => ({ irp: 'required', when, takes: 'value' })
const GET: Required<ControlRow>['get'] = { irp: 'required', when: 'any' }

/** Options, by level and code (WSK §5.2). */
export const OPTIONS: ReadonlyMap<string, ControlRow> = new Map([
  option(wsk.SOL_SOCKET, wsk.SO_WSK_EVENT_CALLBACK, {
    name: 'SO_WSK_EVENT_CALLBACK',
    categories: ALL,
    set: { irp: 'optional', when: 'any', takes: 'value' },
  }),
  option(wsk.SOL_SOCKET, wsk.SO_WSK_SECURITY, {
    name: 'SO_WSK_SECURITY',
    categories: BOUND,
    set: value('beforeBind'),
    get: GET,
  }),
  option(wsk.SOL_SOCKET, wsk.SO_CONDITIONAL_ACCEPT, {
    name: 'SO_CONDITIONAL_ACCEPT',
    categories: ['listen'],
    set: flag('beforeBind'),
    get: GET,
  }),
  option(wsk.SOL_SOCKET, wsk.SO_EXCLUSIVEADDRUSE, {
    name: 'SO_EXCLUSIVEADDRUSE',
    categories: BOUND,
    set: flag('beforeBind'),
    get: GET,
  }),
  option(wsk.SOL_SOCKET, wsk.SO_REUSEADDR, {
    name: 'SO_REUSEADDR',
    categories: BOUND,
    set: flag('beforeBind'),
    get: GET,
  }),
  option(wsk.SOL_SOCKET, wsk.SO_KEEPALIVE, {
    name: 'SO_KEEPALIVE',
    categories: LISTEN_CONNECTION,
    set: flag('any'),
    get: GET,
  }),
  option(wsk.SOL_SOCKET, wsk.SO_RCVBUF, {
    name: 'SO_RCVBUF',
    categories: BOUND,
    set: number('any'),
    get: GET,
  }),
  option(wsk.SOL_SOCKET, wsk.SO_BROADCAST, {
    name: 'SO_BROADCAST',
    categories: ['datagram'],
    set: flag('any'),
    get: GET,
  }),
  option(wsk.IPPROTO_IPV6, wsk.IPV6_V6ONLY, {
    name: 'IPV6_V6ONLY',
    categories: BOUND,
    set: flag('beforeBind'),
    get: GET,
  }),
  option(wsk.IPPROTO_TCP, wsk.TCP_NODELAY, {
    name: 'TCP_NODELAY',
    categories: LISTEN_CONNECTION,
    unsupported: 'WSK has none either: the flag WSK_FLAG_NODELAY of WskSend takes its place',
  }),
  option(wsk.SOL_SOCKET, wsk.SO_SNDBUF, {
    name: 'SO_SNDBUF',
    categories: BOUND,
    unsupported: 'nothing is buffered: a send is over when the carrier has taken it',
  }),
  ...unsupported(wsk.IPPROTO_TCP, 'Node sets no such option on TCP sockets', {
    TCP_KEEPIDLE: wsk.TCP_KEEPIDLE,
    TCP_KEEPCNT: wsk.TCP_KEEPCNT,
    TCP_KEEPINTVL: wsk.TCP_KEEPINTVL,
    TCP_FASTOPEN: wsk.TCP_FASTOPEN,
  }),
  option(wsk.IPPROTO_IP, wsk.IP_TTL, {
    name: 'IP_TTL',
    categories: ['datagram'],
    set: number('bound'),
    get: GET,
  }),
  option(wsk.IPPROTO_IPV6, wsk.IPV6_UNICAST_HOPS, {
    name: 'IPV6_UNICAST_HOPS',
    categories: ['datagram'],
    set: number('bound'),
    get: GET,
  }),
  ...unsupported(wsk.IPPROTO_IP, "Node's dgram shows no control information", { IP_PKTINFO: wsk.IP_PKTINFO }),
  ...unsupported(wsk.IPPROTO_IPV6, "Node's dgram shows no control information", {
    IPV6_PKTINFO: wsk.IPV6_PKTINFO,
  }),
])

/** Ioctls, by code (WSK §5.3). */
export const IOCTLS: ReadonlyMap<number, ControlRow> = new Map([
  ioctl(wsk.SIO_WSK_QUERY_IDEAL_SEND_BACKLOG, {
    name: 'SIO_WSK_QUERY_IDEAL_SEND_BACKLOG',
    categories: CONNECTED,
    set: value('connected'),
  }),
  ioctl(wsk.SIO_WSK_QUERY_RECEIVE_BACKLOG, {
    name: 'SIO_WSK_QUERY_RECEIVE_BACKLOG',
    categories: CONNECTED,
    set: value('connected'),
  }),
  ioctl(wsk.SIO_WSK_QUERY_INSPECT_ID, {
    name: 'SIO_WSK_QUERY_INSPECT_ID',
    categories: ALL,
    set: { irp: 'none', when: 'any', takes: 'value' },
  }),
  ioctl(wsk.SIO_WSK_REGISTER_EXTENSION, {
    name: 'SIO_WSK_REGISTER_EXTENSION',
    categories: ALL,
    unsupported: 'there is no extension, as with Windows',
  }),
  ioctl(wsk.SIO_WSK_SET_REMOTE_ADDRESS, {
    name: 'SIO_WSK_SET_REMOTE_ADDRESS',
    categories: ['datagram'],
    set: value('bound'),
  }),
  ioctl(wsk.SIO_WSK_SET_SENDTO_ADDRESS, {
    name: 'SIO_WSK_SET_SENDTO_ADDRESS',
    categories: ['datagram'],
    set: value('bound'),
  }),
  ioctl(wsk.SIO_ADDRESS_LIST_QUERY, {
    name: 'SIO_ADDRESS_LIST_QUERY',
    categories: ALL,
    set: { irp: 'none', when: 'any', takes: 'value' },
  }),
  ioctl(wsk.SIO_ADDRESS_LIST_CHANGE, { name: 'SIO_ADDRESS_LIST_CHANGE', categories: ALL, set: value('any') }),
  ...noIoctl('Linux offers a program no way to make TCP silent', {
    SIO_WSK_SET_TCP_SILENT_MODE: wsk.SIO_WSK_SET_TCP_SILENT_MODE,
  }),
  ...noIoctl('the switch does this for every connection that it can, unasked', {
    SIO_LOOPBACK_FAST_PATH: wsk.SIO_LOOPBACK_FAST_PATH,
  }),
  ...noIoctl('Node chooses no order among addresses', { SIO_ADDRESS_LIST_SORT: wsk.SIO_ADDRESS_LIST_SORT }),
  ...noIoctl('there is no Windows Filtering Platform', {
    SIO_QUERY_WFP_CONNECTION_REDIRECT_RECORDS: wsk.SIO_QUERY_WFP_CONNECTION_REDIRECT_RECORDS,
    SIO_QUERY_WFP_CONNECTION_REDIRECT_CONTEXT: wsk.SIO_QUERY_WFP_CONNECTION_REDIRECT_CONTEXT,
    SIO_SET_WFP_CONNECTION_REDIRECT_RECORDS: wsk.SIO_SET_WFP_CONNECTION_REDIRECT_RECORDS,
  }),
])

/** The key of an option in {@link OPTIONS}. */
export function optionKey(level: number, code: number): string {
  return `${String(level)}/${String(code)}`
}

function option(level: number, code: number, row: ControlRow): [string, ControlRow] {
  return [optionKey(level, code), row]
}

function ioctl(code: number, row: ControlRow): [number, ControlRow] {
  return [code, row]
}

function unsupported(
  level: number,
  why: string,
  codes: Readonly<Record<string, number>>,
): [string, ControlRow][] {
  return Object.entries(codes).map(([name, code]) =>
    option(level, code, { name, categories: ALL, unsupported: why }),
  )
}

function noIoctl(why: string, codes: Readonly<Record<string, number>>): [number, ControlRow][] {
  return Object.entries(codes).map(([name, code]) => ioctl(code, { name, categories: ALL, unsupported: why }))
}
