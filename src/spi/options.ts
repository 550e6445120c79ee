/**
 * Socket options by their Winsock names. The first group can reach a provider (WSD §7.1–7.2); the second is recorded by
 * the switch and replayed to a companion that supports it, or answered by the switch itself.
 */
export const SOCKET_OPTIONS = {
  SO_DEBUG: 'provider',
  SO_GROUP_PRIORITY: 'provider',
  SO_MAX_MSG_SIZE: 'provider',
  SO_MAX_RDMA_SIZE: 'provider',
  SO_RDMA_THRESHOLD_SIZE: 'provider',
  SO_KEEPALIVE: 'switch',
  TCP_NODELAY: 'switch',
  IP_TOS: 'switch',
} as const

export type SocketOption = keyof typeof SOCKET_OPTIONS
