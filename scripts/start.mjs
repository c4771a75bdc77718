/** `npm start`: installs what is missing, then runs the demo fleet (`npm start -- --help` lists its options). */

import { install, runNode } from './install.mjs'

install()
process.exitCode = await runNode(['src/cli/main.ts', 'demo', ...process.argv.slice(2)])
