/**
 * An acceptor that goes a part of the way with the first that connects, and then stops itself (SIGSTOP).
 * `acceptor-stages.js STAGE`
 */
import { PHASE_ACCEPTED } from '../../src/providers/shm/layout.ts'
import { onHeard, say, stay } from '../support/app-side.ts'
import { closeAll } from './channel.ts'
import { HELLO, HostilePeer } from './hostile-peer.ts'
import { HostileServer } from './hostile-server.ts'

/** How far it goes: has a rendezvous, took the channel, welcomed, was asked, accepted. */
export const ACCEPTOR_STAGES = ['rendezvous', 'opened', 'welcomed', 'asked', 'accepted'] as const

async function go(stage: string, server: HostileServer): Promise<void> {
  if (stage === 'rendezvous') return
  if (stage === 'opened') {
    const peer = await HostilePeer.meet(server)
    const got = await peer.channel.next()
    if (got !== 'end') closeAll(got.fds)
    return
  }
  const peer = await HostilePeer.welcome(server)
  if (stage === 'welcomed') return
  await peer.asked()
  if (stage === 'asked') return
  peer.writeRawRequest(0, HELLO, HELLO.length)
  peer.setState(0, 1, PHASE_ACCEPTED)
  peer.notify(0)
}

const stage = process.argv[2]
if (stage !== undefined) {
  onHeard(() => undefined)
  stay()
  const server = await HostileServer.listen()
  say({ port: server.port })
  await go(stage, server)
  process.kill(process.pid, 'SIGSTOP')
}
