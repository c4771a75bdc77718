/** Does not compile: both declare `req.session`. Why `sojourn/express/types` is an entry of its own. */

import 'express-session'
import 'sojourn/express/types'
