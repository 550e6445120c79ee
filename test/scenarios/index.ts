import { ACCEPTING } from './accepting.ts'
import { CLOSING } from './closing.ts'
import { CONNECTING } from './connecting.ts'
import { DATA } from './data.ts'
import { MEMORY } from './memory.ts'
import { MOVING } from './moving.ts'
import type { Scenarios } from './party.ts'
import { STARTING } from './starting.ts'

/** The thirty scenarios of appendix D of the specification, some in parts; a title begins with the number. */
export const SCENARIOS: Scenarios = [
  ...STARTING,
  ...ACCEPTING,
  ...CONNECTING,
  ...DATA,
  ...CLOSING,
  ...MEMORY,
  ...MOVING,
]
