import { createSessions } from 'sojourn'
import { redisStore } from 'sojourn/redis'
import { sqliteStore } from 'sojourn/sqlite'

export interface Item {
  sku: string
  quantity: number
}

/** One module makes the sessions; everything else imports them from here, typed by `initial`. */
export const sessions = createSessions({
  // Redis where the fleet spans machines; without it one file serves every process of this machine.
  store: process.env.REDIS_URL
    ? redisStore({ url: process.env.REDIS_URL })
    : sqliteStore({ path: process.env.SESSION_DB ?? 'sessions.db' }),
  secret: process.env.SESSION_SECRET,
  idleTimeout: '30m',
  absoluteTimeout: '12h',
  initial: () => ({ theme: 'light', views: 0, cart: [] as Item[] }),
})
