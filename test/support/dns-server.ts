/** A DNS server on 127.0.0.1 that knows the IPv4 addresses of one name. */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'

const HEADER_BYTES = 12
const SERVFAIL = 2

export interface DnsServer extends AsyncDisposable {
  /** `127.0.0.1:port`, for `Resolver.setServers`. */
  readonly address: string
  /** Questions that came so far. */
  readonly questions: number
  /** What it answers from now on: addresses, a failure, garbage, or nothing at all. */
  answer: readonly string[] | 'failure' | 'garbage' | 'silence'
}

export async function startDnsServer(answer: DnsServer['answer']): Promise<DnsServer> {
  const socket = createSocket('udp4')
  let questions = 0
  const server: DnsServer = {
    get address() {
      return `127.0.0.1:${socket.address().port}`
    },
    get questions() {
      return questions
    },
    answer,
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => socket.close(resolve))
    },
  }
  socket.on('message', (query, { address, port }) => {
    questions += 1
    const reply = toReply(query, server.answer)
    if (reply) socket.send(reply, port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return server
}

/** RFC 1035: the header and the question as they came, then an A record for each address. */
function toReply(query: Buffer, answer: DnsServer['answer']): Buffer | undefined {
  if (answer === 'silence') return undefined
  if (answer === 'garbage') return Buffer.concat([query.subarray(0, 2), Buffer.alloc(30, 0xff)])
  const question = query.subarray(HEADER_BYTES, query.indexOf(0, HEADER_BYTES) + 5)
  const addresses = answer === 'failure' ? [] : answer
  const header = Buffer.alloc(HEADER_BYTES)
  query.copy(header, 0, 0, 2)
  header.writeUInt16BE(0x8180 + (answer === 'failure' ? SERVFAIL : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(addresses.length, 6)
  const records = addresses.map((address) =>
    Buffer.concat([Buffer.from('c00c00010001000000000004', 'hex'), Buffer.from(address.split('.').map(Number))]),
  )
  return Buffer.concat([header, question, ...records])
}
