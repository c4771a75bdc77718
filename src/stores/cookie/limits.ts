/** Every bound of the sealed cookie, with its unit and its reason. */

/** Name, value and attributes of one cookie, in bytes: browsers drop a larger one without a word (RFC 6265bis, 5.6 and 6.1). */
export const COOKIE_BYTES_MAX = 4096

/** Cookies over which a session may be spread. Node refuses requests with more than 16 KiB of headers; nginx, unless told otherwise, with a line above 8 KiB, which two reach. */
export const CHUNKS_MAX = 3

/** A sealed session before compression, in bytes: what one presented cookie can make a node expand. An honest session of three cookies seldom has more. */
export const PLAIN_BYTES_MAX: number = 64 * 1024

/** A session below this many bytes is not worth the microseconds of trying to compress it. */
export const COMPRESSED_FROM_BYTES = 100
