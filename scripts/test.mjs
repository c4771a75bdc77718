/** `npm test`: installs what is missing, then runs all tests, or the files given (`npm test -- test/token/token.test.ts`). */

import { install, runNode } from './install.mjs'

install()
process.exitCode = await runNode(['scripts/run-tests.ts', ...process.argv.slice(2)])
