import type { UserAnswer, UserQuestion } from '../users/messages.ts'
import { HOLDINGS_MAX, USER_BYTES_MAX } from './limits.ts'
import type { Codec } from './message-codec.ts'
import { readBallot, writeBallot } from './view-codec.ts'

/* What version 1.1 added: who holds the sessions of a user. */

const FOUND = { wrongView: 1, dropped: 2 }

export const findUserCodec: Codec<UserQuestion> = {
  number: 32,
  write(writer, { view, request, user, cursor }) {
    writeBallot(writer, view)
    writer.count(request)
    writer.text(user, USER_BYTES_MAX)
    writer.count(cursor)
  },
  read: (reader) => ({
    type: 'findUser',
    view: readBallot(reader),
    request: reader.count(),
    user: reader.text(USER_BYTES_MAX),
    cursor: reader.count(),
  }),
}

export const foundUserCodec: Codec<UserAnswer> = {
  number: 33,
  write(writer, { request, isWrongView, hasDropped, next, entries }) {
    writer.byte((isWrongView ? FOUND.wrongView : 0) + (hasDropped ? FOUND.dropped : 0))
    writer.count(request)
    writer.count(next)
    writer.list(entries, HOLDINGS_MAX, ({ key, at }) => {
      writer.key(key)
      writer.time(at, 0)
    })
  },
  read(reader) {
    const flags = reader.flags(FOUND.wrongView + FOUND.dropped)
    return {
      type: 'foundUser',
      request: reader.count(),
      isWrongView: (flags & FOUND.wrongView) !== 0,
      hasDropped: (flags & FOUND.dropped) !== 0,
      next: reader.count(),
      entries: reader.list(HOLDINGS_MAX, () => ({ key: reader.key(), at: reader.time(0) })),
    }
  },
}
