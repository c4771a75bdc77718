/** Every bound of the Redis store, with its unit and its reason. */

/** Calls that may be under way at once, those given up included: a client keeps them until they are answered or the connection breaks. */
export const CALLS_MAX = 10_000

/** Commands that a client of our own may hold beside those of the calls: its PING and HELLO, and the probes. */
export const OWN_COMMANDS_MAX = 1_000

/** Length of the commands of all calls under way, in UTF-16 units: ten thousand large sessions would fill the memory long before they are too many. */
export const CALLS_LENGTH_MAX: number = 64 * 1024 * 1024

/** Calls in a row that may go without an answer before the server is taken for silent. One or two are lost with a packet; more make many visitors wait. */
export const UNANSWERED_MAX = 5

/** Pause after a PING that was not answered in time, in milliseconds. As much later a server that is back is noticed. */
export const PROBE_PAUSE_MS = 100

/** Pause before another attempt where another server may take over, in milliseconds. A failover takes longer, and a deadline allows for several. */
export const TAKEOVER_PAUSE_MS = 50

/** Pause before a client of our own that found no server, and has given up, looks for one again, in milliseconds; and the longest, where pauses grow. */
export const CONNECT_PAUSE_MS = 250
export const CONNECT_PAUSE_MAX_MS = 2_000

/** After so many milliseconds without a master of a Cluster, another node is asked who has taken its place. */
export const TOPOLOGY_PAUSE_MS = 250

/** How often Sentinels are asked for the master, in milliseconds: what they tell by themselves may be lost with a connection. */
export const SENTINEL_SCAN_MS = 5_000

/** Servers whose incarnation is remembered. One that was forgotten is given a new one, which does no harm. Each stands in the text of a script, which every change of a session runs. */
export const SERVERS_MAX = 64

/** Servers that may turn up while one change is made, before it is given up. A failover brings one. */
export const CLAIMS_MAX = 5

/** Part of the deadline for which a login, an end, a rotation or a first use of its successor waits for a replica, where nobody asked to wait longer. */
export const REPLICA_PATIENCE = 0.25

/** The warning that changes were answered without a replica is logged at most once in so many milliseconds. */
export const REPLICA_WARNING_PAUSE_MS = 60_000

/** Entries of a user from before the longest life of a session that one login removes: more than it adds, and few enough to block nobody. */
export const PRUNED_MAX = 100

/** Default of `nearCache.maxSessions`: what one node serves in a few minutes, in most fleets. */
export const COPIES_MAX = 10_000

/** Default of `nearCache.maxBytes`, in bytes of memory. Ten thousand sessions of 1 KB take about 25 MB. */
export const COPIES_BYTES_MAX: number = 32 * 1024 * 1024

/** Longest lease of copies, in milliseconds: as long may a session be behind, and a logout take where a node has stopped. */
export const LEASE_MS_MAX = 1_000

/** Part of the deadline that a lease may take at most: an end may wait for a replica first ({@link REPLICA_PATIENCE}), and then for the leases. */
export const LEASE_OF_DEADLINE_MAX = 0.65

/** How much longer than a lease an end waits, as a factor and in milliseconds: two clocks do not run equally fast, and no timer is exact. */
export const LEASE_MARGIN_FACTOR = 1.01
export const LEASE_MARGIN_MS = 10

/** A lease is renewed so many times in its length, so that it survives an answer that takes long. */
export const RENEWALS_PER_LEASE = 3

/** A node that was asked for no session for so long renews its lease no more, in milliseconds; the next read begins anew. */
export const LEASE_IDLE_MS = 5_000

/** A node that registered for the last time so long ago, in milliseconds, is struck off the list, which would grow with each restart. */
export const NODE_FORGOTTEN_AFTER_MS = 60_000

/** Announcements that wait for other nodes at once. One beyond them waits for its whole lease, and no acknowledgement is looked at. */
export const ANNOUNCEMENTS_MAX = 10_000

/** A message on the bus, in UTF-16 units: a key, a user of at most 256 and a few words. A longer one is none of ours. */
export const MESSAGE_LENGTH_MAX = 4_096

/** Held sessions that are asked for at once, and the pause between two such groups, in milliseconds: a sweep over many is no burst. */
export const ASKED_AT_ONCE_MAX = 100
export const ASK_PAUSE_MS = 100

/** Pause before sessions that Redis gave no answer about are asked for again, in milliseconds. */
export const ASK_AGAIN_MS = 1_000

/** How often every session that a process goes on with is asked for again, in milliseconds: less than a tombstone stays, so that its reason is found. */
export const SWEEP_EVERY_MS = 20_000

/** Longest `staleReads`, in milliseconds: so long a node that is cut off may serve a session that was ended. A longer outage is no moment to hide. */
export const STALE_MS_MAX = 60_000

/** Keys that Redis tracks at most for all its clients, where it does not say so: its default. */
export const TRACKED_KEYS_MAX = 1_000_000

/**
 * Part of them from which on no copy outlives a renewal of the lease: with a full table Redis forgets keys, and does not
 * tell everybody. It is looked at a few times in a second, in which no Redis makes so much room again.
 */
export const TRACKED_KEYS_PART = 0.9

/** With a smaller table it could be full and no more, unseen. */
export const TRACKED_KEYS_MIN = 100_000
