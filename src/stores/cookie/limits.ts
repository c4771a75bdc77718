/** Every bound of the sealed cookie, with its unit and its reason. */

/** Name, value and attributes of one cookie, in bytes: browsers drop a larger one without a word (RFC 6265bis, 5.6 and 6.1). */
export const COOKIE_BYTES_MAX = 4096

/** Cookies over which a session may be spread. Node refuses requests with more than 16 KiB of headers; nginx, unless told otherwise, with a line above 8 KiB, which two reach. */
export const CHUNKS_MAX = 3

/** A sealed session before compression, in bytes: what one presented cookie can make a node expand. An honest session of three cookies seldom has more. */
export const PLAIN_BYTES_MAX: number = 64 * 1024

/** A session below this many bytes is not worth the microseconds of trying to compress it. */
export const COMPRESSED_FROM_BYTES = 100

/** How far back deflate looks in a session of no more bytes than these. Larger ones get the 32 KiB that deflate knows. */
export const DEFLATE_WINDOW_BYTES = 4096

/** Bytes of the buffer into which a session expands: most fit into one, and Node's default is four times as large. */
export const INFLATE_BYTES_AT_ONCE = 4096

/** Entries of the log of ended sessions in the one record that every node polls: some kilobytes a poll. */
export const RING_SIZE = 128

/** Kept rounds of the log that a starting node reads at once. A million ended sessions are 8,000 rounds. */
export const READS_AT_ONCE = 32

/** How long the log's head outlives its last entry, in milliseconds: longer than any fleet goes without a logout. */
export const LOG_KEPT_MS: number = 10 * 365 * 24 * 3_600_000

/** Changes that wait at one node for their place in the log. More mean that the store is stuck; they are refused with 503. */
export const APPENDS_WAITING_MAX = 10_000

/** Races that one append may lose against other nodes. Each means that another node's entries went in. */
export const APPEND_CONFLICTS_MAX = 1_000

/** How long a node answers from what it has heard of the log, in milliseconds; a logout waits as long. */
export const LEASE_MS = 300

/** The lease may be at most this, in milliseconds. */
export const LEASE_MS_MAX = 1_000

/** Polls in one lease: one may be lost, and the next is still in time. */
export const POLLS_PER_LEASE = 3

/** How long a node that lost the log goes on with what it knows, in milliseconds. */
export const FEED_LOST_AFTER_MS = 30_000

/** Ended sessions that one poll forgets: a few milliseconds, and more than a fleet ends between two polls. */
export const FORGOTTEN_AT_ONCE = 10_000
