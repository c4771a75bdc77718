import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { FrameDecoder } from '../../../../src/stores/mesh/wire/frame.ts'
import { FRAME_BYTES_MAX } from '../../../../src/stores/mesh/wire/limits.ts'
import { decodeMessage, encodeMessage } from '../../../../src/stores/mesh/wire/message-codec.ts'
import { readFrameVectors } from './frame-vectors.ts'
import { fuzz } from '../../../fuzz/fuzz.ts'
import { wireTarget } from './fuzz.ts'
import { messageTypes } from './message-support.ts'

suite('frames that versions 1.0 and 1.1 wrote', () => {
  const vectors = readFrameVectors()

  test('are read as what they said', () => {
    const decoder = new FrameDecoder(FRAME_BYTES_MAX)
    const decoded = [...decoder.frames(Buffer.concat(vectors.map(({ frame }) => frame)))].map(decodeMessage)
    assert.deepEqual(
      decoded,
      vectors.map(({ message }) => message),
    )
  })

  test('are written as they were', () => {
    for (const { message, frame } of vectors)
      assert.equal(encodeMessage(message).toString('hex'), frame.toString('hex'))
  })

  test('hold every kind of message', () => {
    assert.deepEqual(new Set(vectors.map(({ type }) => type)), new Set(messageTypes))
  })
})

test('damaged frames and garbage are refused or read as some message, within bounds', async () => {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  const { counts, failure } = await fuzz(wireTarget, seed, 20_000)
  console.log(`seed ${seed} (SEED=${seed} runs it again): ${JSON.stringify(Object.fromEntries(counts))}`)
  assert.deepEqual(failure, undefined, `npm run fuzz -- --target wire --runs 1 --seed ${failure?.seed}`)
  for (const outcome of ['refused', 'read', 'of an unknown type', 'cut off']) {
    assert.ok((counts.get(outcome) ?? 0) > 200, `${outcome} comes often enough to be tested`)
  }
})
