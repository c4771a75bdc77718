/** Every time and bound of the protocol, in milliseconds or counts, with its reason. */

export const HEARTBEAT_EVERY_MS = 200

/** How long a member's answer to a heartbeat lets a node serve. Five heartbeats, so that one lost is no outage. */
export const LEASE_MS = 1_000

/** How long a member that is left out of a view has not been granted a lease: a tenth for clocks that run at different speeds. */
export const LEASE_OVER_MS = 1_100

/** A new node listens so long for a fleet that exists before it begins one with the others that it hears. */
export const STARTUP_MS = 1_000

/** The same where it hears nobody: it may be the first, or its connections are slow to stand. */
export const STARTUP_ALONE_MS = 3_000

/** With `majority`, a node that leaves and is not heard for so long before it has handed over is away: the next view says so. */
export const LEAVER_SILENT_MS = 3_000

/** A proposal that is not decided by then is dropped. */
export const PROPOSAL_MS = 500

/** A node that accepted a view which nobody installs proposes another; so does one whose members stay in another view. */
export const STUCK_MS = 600

/** The second in line proposes so much later than the first, and so on. */
export const RANK_MS = 250

/** What was not answered is sent again. */
export const RESEND_MS = 300

/**
 * Sessions in one background offer, and offers under way at once: what bounds the rate of handing over. What a client asks
 * waits behind them on the same connection.
 */
export const OFFER_RECORDS = 16
export const OFFERS_MAX = 8

/** An offer is large and takes its time; one that a broken connection has lost is sent again with the next connection. */
export const OFFER_RESEND_MS = 3_000

/** Views through which a node stays sure of a key that it has owned all along; older sureness is found out anew. */
export const CHAIN_MAX = 16

/** Keys whose backups are brought up to date at once, in the background. */
export const SYNCS_MAX = 256

/** A node that was not called for so long was paused: what it has not heard meanwhile says nothing about the others. */
export const GAP_MS = 400

/** Losses of members that a view remembers. */
export const LOSSES_MAX = 16

/** A pass of repair over all records begins at least so long after the last began: a copy is missing for a minute at most, where no node has more than some ten thousand sessions. */
export const REPAIR_PASS_MS = 30_000

/** What bounds the rate of a pass: so many records, so often. 40 bytes each, it is at most 50 KB a second to all backups. */
export const REPAIR_RECORDS = 256
export const REPAIR_EVERY_MS = 200
