/** Every bound of the wire, with its unit and its reason. */

/** Version of the protocol. Another major is refused; a higher minor may say more, which is skipped. */
export const PROTOCOL_MAJOR = 1
export const PROTOCOL_MINOR = 1

/** The first minor version whose nodes answer who holds the sessions of a user. */
export const FINDS_USERS_MINOR = 1

/** A frame: type and body. A session of the default limit of 1 MiB fits whole, with its versions and operations. */
export const FRAME_BYTES_MAX: number = 2 * 1024 * 1024

/** A frame before the peer is known: a hello has less than 500 bytes. */
export const HELLO_BYTES_MAX = 1024

/** Bytes of a frame's length: 7 bits each, so that a larger length than four can say is garbage. */
export const LENGTH_BYTES_MAX = 4

/** An id is 11 characters now; a longer one may come. */
export const ID_BYTES_MAX = 64

/** `host:port` with a host name of 255 characters. */
export const ADDRESS_BYTES_MAX = 270

/** Zones are short names such as `eu-central-1a`. */
export const ZONE_BYTES_MAX = 128

/** Nodes of a fleet: everyone talks to everyone, so more are another design. Also how many peers one node takes. */
export const MEMBERS_MAX = 256

/** Views, placements and losses in a message; the protocol remembers a few of each. */
export const VIEWS_MAX = 256

/** Sessions in one offer; the protocol sends 64. */
export const HOLDINGS_MAX = 4096

/** A user in a question: four bytes for each of the 256 units that a user's identifier has at most. */
export const USER_BYTES_MAX: number = 4 * 256

/** The reason in words why a connection is closed: UTF-16 units, and the bytes that they may take. */
export const REASON_LENGTH_MAX = 200
export const REASON_BYTES_MAX: number = 4 * REASON_LENGTH_MAX

/** From a connection's start to its welcome. A slow handshake takes some round trips and some milliseconds of CPU. */
export const HANDSHAKE_MS = 3_000

/** Connections that are not welcome yet. More push out the oldest, so that a flood does not keep a peer out. */
export const PENDING_MAX = 64

/** A peer sends a heartbeat each 200 ms; one that says nothing for so long is gone, or the network to it is. */
export const SILENCE_MS = 5_000

/** How long a closed connection may take to bring its last bytes to the peer. */
export const LINGER_MS = 1_000

/** Bytes that wait for a slow peer. Some of the largest frames fit; more means that it does not read. */
export const QUEUE_BYTES_MAX: number = 16 * 1024 * 1024

/** Pause before the first and the longest before a later attempt to connect. A restarted node is found within the longest. */
export const DIAL_PAUSE_MIN_MS = 50
export const DIAL_PAUSE_MAX_MS = 1_000

/** How long the address of a lost peer, or one that a peer has named, is tried where it is not in the list of peers. */
export const LOST_PEER_MS = 60_000

/** Addresses that are tried. Far more than there can be members, since a name may tell each several times. */
export const ADDRESSES_MAX: number = 4 * MEMBERS_MAX

/** One line of a kind is logged in so long; the next says how many there were. */
export const LOG_PAUSE_MS = 10_000

/** How often names and functions are asked for the peers, and how long an answer may take. */
export const PEERS_EVERY_MS = 5_000
export const PEERS_DEADLINE_MS = 10_000

/** Pause before a node that starts asks again, where it was not told of its peers. */
export const PEERS_PAUSE_MS = 500

/** Questions for the peers that nobody has answered yet. The system's resolver takes one of Node's four threads for each. */
export const PEERS_ASKED_MAX = 2
