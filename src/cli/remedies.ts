import type { Reason } from '../switch/reasons.ts'

/** What helps, where something does. docs/reasons.md says more. */
export const REMEDIES: Partial<Record<Reason, string>> = {
  'no-listener': 'start the program that should listen there',
  'peer-not-switched': 'start the peer with --require sockswitch/register, or see its own `sockswitch ls`',
  'peer-other-user': 'run both as the same user',
  'owner-unknown': 'see `sockswitch doctor`',
  'peer-not-owner': 'find out who holds the name: grep sockswitch /proc/net/unix',
  'peer-malformed': 'bring both to the same version',
  version: 'bring both to the same version',
  'handshake-timeout': "look for what blocks the peer's event loop",
  resource: 'raise the limit on descriptors (ulimit -n) or memory',
  rule: 'change the rule',
  'peer-rule': "change the peer's rules",
  observed: 'unset SOCKSWITCH=observe, or change the rule',
  'name-taken': 'find out who holds the name: grep sockswitch /proc/net/unix',
  off: 'unset SOCKSWITCH',
}
