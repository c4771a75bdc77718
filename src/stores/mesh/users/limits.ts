/** Every bound of looking for the sessions of a user, with its unit and its reason. */

/** Keys from which on an answer is sent: some 80 KB, so that what else goes over the connection does not wait long. */
export const ANSWER_KEYS = 2_000

/** Questions that a node works on at once. More are not begun; who asks sends them again. */
export const QUESTIONS_MAX = 64

/** What was not answered is sent again: a connection may have been lost with it. */
export const RESEND_MS = 300

/** Pause before a search looks again whether everybody can be asked. A view changes within some of them. */
export const RETRY_MS = 25

/** Keys that are looked for before the first part is given, so that it holds the newest. A search for them takes some 50 ms. */
export const SORTED_KEYS = 10_000

/** Searches that wait for their callers to ask for the next part, and how long, in milliseconds. One that is forgotten begins anew. */
export const LISTINGS_MAX = 32
export const LISTING_MS = 10_000

/** Races for the record of a user that one call may lose. Each means that another call won. */
export const RACES_MAX = 100
