import { ADDRESSES } from './scenarios/addresses.ts'
import { CROWDS } from './scenarios/crowds.ts'
import { ERRORS } from './scenarios/errors.ts'
import { FLOW } from './scenarios/flow.ts'
import { GLOBALS } from './scenarios/globals.ts'
import { HTTP_ENDINGS } from './scenarios/http-endings.ts'
import { HTTP } from './scenarios/http.ts'
import { LIFE } from './scenarios/life.ts'
import { LOSS } from './scenarios/loss.ts'
import { HTTP_MEMBERS } from './scenarios/members-http.ts'
import { HTTP2_MEMBERS } from './scenarios/members-http2.ts'
import { NET_MEMBERS } from './scenarios/members-net.ts'
import { PROCESS_MEMBERS } from './scenarios/members-processes.ts'
import { TLS_MEMBERS } from './scenarios/members-tls.ts'
import { HTTP2_MESSAGES } from './scenarios/messages-http2.ts'
import { MOMENT_SCENARIOS } from './scenarios/moments.ts'
import { OBSERVERS } from './scenarios/observers.ts'
import { HTTP_OPTIONS } from './scenarios/options-http.ts'
import { OPTIONS } from './scenarios/options.ts'
import { PROCESSES } from './scenarios/processes.ts'
import { SECURE_HTTP } from './scenarios/secure-http.ts'
import { SERVERS } from './scenarios/servers.ts'
import { STREAMS } from './scenarios/streams.ts'
import { TLS } from './scenarios/tls.ts'
import { WAITING } from './scenarios/waiting.ts'
import type { Scenario } from './side.ts'

/** Everything that must look the same on stock Node and switched. */
export const SCENARIOS: readonly Scenario[] = [
  ...LIFE,
  ...LOSS,
  ...MOMENT_SCENARIOS,
  ...FLOW,
  ...WAITING,
  ...STREAMS,
  ...ERRORS,
  ...ADDRESSES,
  ...OPTIONS,
  ...SERVERS,
  ...CROWDS,
  ...HTTP,
  ...HTTP_ENDINGS,
  ...TLS,
  ...SECURE_HTTP,
  ...PROCESSES,
  ...OBSERVERS,
  ...NET_MEMBERS,
  ...HTTP_MEMBERS,
  ...HTTP_OPTIONS,
  ...TLS_MEMBERS,
  ...HTTP2_MEMBERS,
  ...HTTP2_MESSAGES,
  ...GLOBALS,
  ...PROCESS_MEMBERS,
]
