import type { SocketAddress } from '../spi/index.ts'

/** What a decision is about. */
export const ROLES = ['connect', 'listen', 'accept'] as const
export type Role = (typeof ROLES)[number]

/** `switch`: where it is possible; `stay`: on TCP/IP; `observe`: on TCP/IP, and count what would have been switched. */
export const ACTIONS = ['switch', 'stay', 'observe'] as const
export type Action = (typeof ACTIONS)[number]

export interface Decision {
  readonly action: Action
  /** The rule that decided, as a person would find it: `line 3: stay port=5432`. */
  readonly rule?: string
}

/**
 * What the user wants; handed to the switch, so that every face obeys it. Asked once per connect, listen and accept.
 */
export interface Policy {
  /**
   * @param address connect: where to; listen: the address bound; accept: where the peer comes from.
   * @param port The listener's port, in every role.
   */
  decide(role: Role, address: Omit<SocketAddress, 'port'>, port: number): Decision
}
