/**
 * How an API's client carries the token, where it is no browser: `Authorization: Bearer …`, or a header of your own. It
 * sends back what it was last given; an empty value means that there is nothing more to send.
 */
export type HeaderCarrierOption = 'bearer' | { header: string }

/** A carrier that is not the cookie. */
export interface HeaderCarrier {
  /** Bound into every tag. No cookie has a colon in its name, so that a token of one is none of another. */
  readonly name: string
  read(header: (name: string) => string | undefined): { token: string | undefined; hint: string | undefined }
  /** Response headers that give the client a token, or (`''`) nothing. */
  toToken(token: string): [name: string, value: string]
  toHint(hint: string): [name: string, value: string]
}

const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
const TAKEN = ['authorization', 'cookie', 'set-cookie', 'cache-control', 'host', 'content-type', 'content-length']
const BEARER = /^Bearer +([\w-]+)$/i

/** @throws TypeError where it is none, or names a header that means something else */
export function toHeaderCarrier(option: HeaderCarrierOption): HeaderCarrier {
  if (option === 'bearer') {
    return {
      name: 'header:authorization',
      read: (header) => ({ token: BEARER.exec(header('authorization') ?? '')?.[1], hint: header('x-session-v') }),
      toToken: (token) => ['authorization', token === '' ? '' : `Bearer ${token}`],
      toHint: (hint) => ['x-session-v', hint],
    }
  }
  const header = typeof option === 'object' && option !== null ? option.header : undefined
  if (typeof header !== 'string') {
    throw new TypeError("carrier is 'cookie', 'bearer' or the name of a header: { header: 'x-session' }")
  }
  const name = header.toLowerCase()
  if (!HEADER_NAME.test(name)) throw new TypeError(`carrier.header: ${JSON.stringify(header)} is not a header's name`)
  if (TAKEN.includes(name)) {
    const advice = name === 'authorization' ? "; for Authorization: Bearer give 'bearer'" : ''
    throw new TypeError(
      `carrier.header: ${header} means something else; name one of your own, such as x-session${advice}`,
    )
  }
  return {
    name: `header:${name}`,
    read: (get) => ({ token: get(name) || undefined, hint: get(`${name}-v`) }),
    toToken: (token) => [name, token],
    toHint: (hint) => [`${name}-v`, hint],
  }
}
