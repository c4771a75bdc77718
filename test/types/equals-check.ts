/** `expectType` itself can fail. Compiled, never run. */

import { expectType } from './equals.ts'

declare const text: string
declare const narrow: 'a'

expectType<string>()(text)
// @ts-expect-error -- narrower
expectType<string>()(narrow)
// @ts-expect-error -- wider
expectType<'a'>()(text)
// @ts-expect-error -- any
expectType<string>()(JSON.parse(''))
