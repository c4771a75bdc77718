/** Every bound of the core, with its unit and its reason. */

/** A field above this many bytes, encoded, is refused: one large field makes every write of it slow on every node. */
export const FIELD_BYTES_MAX: number = 256 * 1024

/** Default of `maxBytes`: all fields of one session, encoded. */
export const SESSION_BYTES_MAX: number = 1024 * 1024

/** Fields of one session, removed ones included. Many small things belong into one field. */
export const FIELDS_MAX = 1000

/** A field's name, in UTF-16 units. */
export const FIELD_NAME_LENGTH_MAX = 128

/** A user's identifier, in UTF-16 units: it becomes part of an index key. */
export const USER_LENGTH_MAX = 256

/** Nodes whose last operation a record remembers. The oldest is forgotten first; a fleet larger than this still keeps every law but for a re-send older than 64 other nodes' changes. */
export const OPERATION_SLOTS_MAX = 64

/** What the store keeps to tell who uses a token, in UTF-16 units: an address and a user agent. */
export const LABEL_LENGTH_MAX = 200

/** Predecessors whose grace a record remembers. Older ones share the grace of the last, so that an honest client never suffers from many rotations. */
export const RETIRED_MAX = 8

/** How long an ended session is remembered. Longer than any change of a request in flight lives. */
export const TOMBSTONE_MS = 60_000

/** How far two nodes' clocks may be apart for the timeouts to hold as stated. */
export const CLOCK_ERROR_MS = 5_000

/** How much longer than its end a store keeps a session: no store's clock may end it early. */
export const CLEANING_MARGIN_MS: number = 2 * CLOCK_ERROR_MS

/** A touch is written at most once in this part of the idle timeout. */
export const TOUCHES_PER_IDLE_TIMEOUT = 20

/** Changes that wait for their turn on one session on one node. More mean that something is stuck; they are refused with 503. */
export const QUEUE_LENGTH_MAX = 10_000

/** Deadline of a store call. */
export const STORE_DEADLINE_MS = 1_000

/** Races that one `update` may lose. Each means that another update won; a node near the owner of a session wins more often than one far away. */
export const CONFLICTS_MAX = 1_000

/** Attempts to bring a session and its old one together. Each that fails means that another request changed one of them meanwhile. */
export const UNITE_TRIES_MAX = 50

/** Values of a field that were taken over one after another, of which a session remembers the digests: an old request in flight began with one of the last. */
export const LINE_LENGTH_MAX = 8

/** How often one request opens its session anew since the old one had changed; then it goes on with what it has. */
export const REOPENINGS_MAX = 3

/** Why old sessions were not taken over is logged once in this time, for each reason. */
export const OLD_TROUBLE_EVERY_MS = 60_000

/** How long a predecessor is served after its successor was first presented. */
export const GRACE_MS = 60_000

/** Ends that a node remembers to have told, so that each is told once. The oldest is forgotten first, and may be told again. */
export const ENDS_REMEMBERED_MAX = 10_000

/** Keys of a user that one store call lists, and whose sessions are read or ended at once. */
export const USER_ENTRIES_PER_CALL = 100

/** The most that `maxSessionsPerUser` may be: so many sessions are read where one of them may have ended without a word. */
export const SESSIONS_PER_USER_MAX = 1_000

/** Rounds that a login takes for a seat among its user's. Each means that another was faster. */
export const SEAT_TRIES_MAX = 100

/** How long a key that is listed for a user and has no session may belong to a login under way. */
export const LOGIN_UNDER_WAY_MS = 60_000

/** How long a store remembers that a user's epoch has advanced. Longer than any login takes, a node that was paused in it included. */
export const EPOCH_MS: number = 24 * 3_600_000

/** How often the store is asked again for a session that a connection watches: so late an end is seen that nobody told. */
export const WATCH_EVERY_MS = 5_000

/** Watched sessions of one process that the store is asked for at once: a sweep over many is no burst. */
export const ASKS_AT_ONCE_MAX = 16

/** Pause before a store that failed is asked again for watched sessions, or a use is written again. */
export const ASK_PAUSE_MS = 1_000

/** How long a store that tells of ends is waited for to say why a watched session is gone. A lease: an end takes no longer. */
export const END_WORD_MS = 1_000
