/** Changes the mesh's modules of this process before they are loaded, so that it is a node of another version. */

import { registerHooks } from 'node:module'

type Replacement = readonly [text: string, by: string]

/** @param changes by the end of the module's path below `src/stores/`; each text must be there once */
export function changeSources(changes: Readonly<Record<string, readonly Replacement[]>>): void {
  registerHooks({
    load(url, context, nextLoad) {
      const result = nextLoad(url, context)
      const replacements = Object.entries(changes).find(([file]) => url.endsWith(`/src/stores/${file}`))?.[1] ?? []
      if (replacements.length === 0) return result
      let source = Buffer.from(result.source as Uint8Array).toString()
      for (const [text, by] of replacements) {
        if (source.split(text).length !== 2) throw new Error(`${url} has not ${JSON.stringify(text)} once`)
        source = source.replace(text, () => by)
      }
      return { ...result, source }
    },
  })
}
