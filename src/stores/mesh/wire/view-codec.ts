import type { Ballot, Loss, Member, View } from '../protocol/messages.ts'
import type { Reader, Writer } from './bytes.ts'
import { ADDRESS_BYTES_MAX, ID_BYTES_MAX, MEMBERS_MAX, VIEWS_MAX, ZONE_BYTES_MAX } from './limits.ts'

/* Who is in the fleet, in a frame. */

export function writeMember(writer: Writer, { id, address, zone }: Member): void {
  writer.id(id, ID_BYTES_MAX)
  writer.text(address, ADDRESS_BYTES_MAX)
  writer.text(zone, ZONE_BYTES_MAX)
}

export function readMember(reader: Reader): Member {
  return { id: reader.id(ID_BYTES_MAX), address: reader.text(ADDRESS_BYTES_MAX), zone: reader.text(ZONE_BYTES_MAX) }
}

export function writeBallot(writer: Writer, { number, id }: Ballot): void {
  writer.count(number)
  writer.id(id, ID_BYTES_MAX)
}

export function readBallot(reader: Reader): Ballot {
  return { number: reader.count(), id: reader.id(ID_BYTES_MAX) }
}

function writeMembers(writer: Writer, members: readonly Member[]): void {
  writer.list(members, MEMBERS_MAX, (member) => writeMember(writer, member))
}

function readMembers(reader: Reader): Member[] {
  return reader.list(MEMBERS_MAX, () => readMember(reader))
}

export function writeView(writer: Writer, view: View): void {
  writeBallot(writer, view.ballot)
  writer.count(view.incarnation)
  writeMembers(writer, view.members)
  writeMembers(writer, view.leaving)
  writer.bool(view.previous !== null)
  if (view.previous) writeBallot(writer, view.previous)
  writer.list(view.placements, VIEWS_MAX, (members) => writeMembers(writer, members))
  writer.list(view.losses, VIEWS_MAX, (loss) => writeLoss(writer, loss))
}

export function readView(reader: Reader): View {
  return {
    ballot: readBallot(reader),
    incarnation: reader.count(),
    members: readMembers(reader),
    leaving: readMembers(reader),
    previous: reader.bool() ? readBallot(reader) : null,
    placements: reader.list(VIEWS_MAX, () => readMembers(reader)),
    losses: reader.list(VIEWS_MAX, () => readLoss(reader)),
  }
}

function writeLoss(writer: Writer, { members, away, dead }: Loss): void {
  writeMembers(writer, members)
  for (const ids of [away, dead]) writer.list(ids, MEMBERS_MAX, (id) => writer.id(id, ID_BYTES_MAX))
}

function readLoss(reader: Reader): Loss {
  const ids = (): string[] => reader.list(MEMBERS_MAX, () => reader.id(ID_BYTES_MAX))
  return { members: readMembers(reader), away: ids(), dead: ids() }
}
