import { ADDRESSES } from './scenarios/addresses.ts'
import { ERRORS } from './scenarios/errors.ts'
import { FLOW } from './scenarios/flow.ts'
import { HTTP } from './scenarios/http.ts'
import { HTTP_ENDINGS } from './scenarios/http-endings.ts'
import { LIFE } from './scenarios/life.ts'
import { LOSS } from './scenarios/loss.ts'
import { PROCESSES } from './scenarios/processes.ts'
import { SERVERS } from './scenarios/servers.ts'
import type { Scenario } from './side.ts'

/** Everything that must look the same on stock Node and switched. */
export const SCENARIOS: readonly Scenario[] = [
  ...LIFE,
  ...LOSS,
  ...FLOW,
  ...ERRORS,
  ...ADDRESSES,
  ...SERVERS,
  ...HTTP,
  ...HTTP_ENDINGS,
  ...PROCESSES,
]
