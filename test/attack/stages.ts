/**
 * A client that goes a part of the way to a connection and stays there. `stages.js STAGE PORT FROM`: the victim's port, and
 * the port to claim.
 */
import { LINK_SEGMENT_BYTES, PHASE_ACCEPTED } from '../../src/providers/shm/layout.ts'
import { onHeard, say, stay } from '../support/app-side.ts'
import { Channel } from './channel.ts'
import { HOST, HostilePeer, doorName, endpoint, honestRequest } from './hostile-peer.ts'

/** How far it can go: knocked, said OPEN, was welcomed, wrote half a request, asked, was accepted, goes through with it. */
export const STAGES = ['knock', 'half open', 'welcome', 'half asked', 'asked', 'accepted', 'open'] as const

async function go(stage: string, port: number, from: number): Promise<void> {
  const name = doorName(port)
  if (stage === 'knock') {
    Channel.connect(name)
    return
  }
  if (stage === 'half open') {
    const peer = await HostilePeer.prepare(name)
    peer.say({ kind: 'open', segmentBytes: LINK_SEGMENT_BYTES, name }, peer.offer)
    return
  }
  const peer = await HostilePeer.open(port)
  const request = honestRequest(port, { remote: endpoint(HOST, from) })
  if (stage === 'half asked') peer.writeRequest(0, request)
  if (stage === 'asked' || stage === 'accepted' || stage === 'open') peer.ask(0, 1, request)
  if (stage === 'accepted' || stage === 'open') await peer.answered(0, 1, PHASE_ACCEPTED)
  if (stage === 'open') peer.agree(0)
}

const [stage, port, from] = process.argv.slice(2)
if (stage !== undefined && port !== undefined) {
  onHeard(() => undefined)
  stay()
  await go(stage, Number(port), Number(from))
  say({ stage })
}
