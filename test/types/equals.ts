/** Compiles only where the value's type is this one: each fits the other, and it is not `any`. */
export function expectType<Expected>(): <Actual>(actual: Actual, ...same: Same<Actual, Expected>) => void {
  return () => {}
}

type Same<A, B> = 0 extends 1 & A ? [never] : [A] extends [B] ? ([B] extends [A] ? [] : [never]) : [never]
