/**
 * How a listening socket shares its address with listeners elsewhere. What TCP/IP does with connections that arrive there,
 * the provider does with its own: each of them goes to one of the listeners.
 */
export type Sharing =
  /** Other processes hold the very TCP socket and may accept from it. `descriptor` is ours, open while the socket listens. */
  | { readonly as: 'holder'; readonly descriptor: number }
  /** Other TCP sockets listen at the same port, and the kernel chooses (`SO_REUSEPORT`). `descriptor` as above. */
  | { readonly as: 'port'; readonly descriptor: number }
  /** We hold the TCP socket, and leave all connections to other processes: to those for which `mayJoin` is true. */
  | { readonly as: 'head'; readonly mayJoin: (processId: number) => boolean }
  /** Another process, the head, holds the TCP socket and leaves connections to us. */
  | { readonly as: 'member' }
