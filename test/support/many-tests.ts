/** Run by a test of the runner: more than a pipe takes at once. */

import { test } from 'node:test'

for (let number = 1; number <= 1_000; number++) void test(`${number} ${'x'.repeat(2_000)}`, () => {})

setInterval(() => {}, 1_000) // as a socket that is left open
