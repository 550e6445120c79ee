// Sends a message, waits until all of it came back, checks it, sends the next; one round trip at a time.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { endpointOf, fail } from './control.ts'
import { RoundTrips, options, runPingPong } from './round-trips.ts'

class PingPong {
  readonly trips: RoundTrips
  #pieces: Buffer[] = []
  #received = 0

  constructor(socket: Socket) {
    this.trips = new RoundTrips((message) => {
      socket.write(message)
    })
    socket.on('data', (piece) => {
      this.#take(piece)
    })
  }

  #take(piece: Buffer): void {
    this.#pieces.push(piece)
    this.#received += piece.length
    if (this.#received >= this.trips.message.length) this.trips.back(this.#check)
  }

  readonly #check = (): void => {
    const { message } = this.trips
    if (this.#received !== message.length) fail(`${this.#received} bytes came back, not ${message.length}`)
    let at = 0
    for (const piece of this.#pieces) {
      if (message.compare(piece, 0, piece.length, at, at + piece.length) !== 0) {
        fail(`a wrong byte came back after byte ${at} of a message`)
      }
      at += piece.length
    }
    this.#pieces = []
    this.#received = 0
  }
}

runPingPong(async () => {
  const socket = connect({ ...endpointOf(options), noDelay: true })
  socket.on('error', fail)
  socket.on('close', () => fail('the server closed the connection'))
  await once(socket, 'connect')
  return new PingPong(socket).trips
})
