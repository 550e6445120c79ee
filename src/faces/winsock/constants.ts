/** Network events of an application's socket; a mask is their sum. `FD_ACCEPT` and `FD_CONNECT` are those of the interface. */
export const FD_READ = 0x01
export const FD_WRITE = 0x02
export const FD_OOB = 0x04
export const FD_ACCEPT = 0x08
export const FD_CONNECT = 0x10
export const FD_CLOSE = 0x20
export const FD_ALL_EVENTS = 0x3f

/** Flags of send and recv. */
export const MSG_OOB = 0x1
export const MSG_PEEK = 0x2
export const MSG_WAITALL = 0x8

/** What `shutdown` ends. */
export const SD_RECEIVE = 0
export const SD_SEND = 1
export const SD_BOTH = 2
export type ShutdownHow = typeof SD_RECEIVE | typeof SD_SEND | typeof SD_BOTH

export const AF_INET = 2
export const AF_INET6 = 23
export const SOCK_STREAM = 1
export const IPPROTO_TCP = 6

/** The only version of Winsock: both halves of it. */
export const WINSOCK_VERSION = { major: 2, minor: 2 } as const
