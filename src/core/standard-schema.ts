/**
 * The part of Standard Schema 1 that Sojourn calls (https://standardschema.dev): Zod, Valibot, ArkType and others fit.
 */
export interface StandardSchema<Output> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** The top-level field that an issue is about; `undefined` where it is about the whole. */
export function fieldOfIssue(issue: SchemaIssue): string | undefined {
  const first = issue.path?.[0]
  const key = typeof first === 'object' ? first.key : first
  return key === undefined ? undefined : String(key)
}
