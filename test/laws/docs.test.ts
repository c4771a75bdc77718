import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { type LawNumber, laws, lawTexts, storeExcuses } from '../../src/laws/index.ts'

const file = new URL('../../docs/laws.md', import.meta.url)
const begin = '<!-- from the suite: begin -->'
const end = '<!-- from the suite: end -->'

const lawNumbers = [1, 2, 3, 4, 5, 6, 7, 8] as const satisfies readonly LawNumber[]

/** What the suite says of itself, as Markdown. */
function fromTheSuite(): string {
  const stores = Object.entries(storeExcuses)
  const table = [
    `| law | ${stores.map(([name]) => name).join(' | ')} |`,
    `|---|${'---|'.repeat(stores.length)}`,
    ...lawNumbers.map((law) => {
      const cells = stores.map(([, excuses]) => {
        const excuse = excuses.find((each) => each.law === law)
        if (!excuse) return 'kept'
        const kept = excuse.tests
          ? `kept, but for ${excuse.tests.map((id) => `\`${id}\``).join(', ')}: `
          : '**excused.** '
        return `${kept}${excuse.why} Proven instead: ${excuse.refusal.title}.`
      })
      return `| ${law}. ${lawTexts[law].name} | ${cells.join(' | ')} |`
    }),
  ]
  const tests = lawNumbers.flatMap((law) => [
    '',
    `### ${law}. ${lawTexts[law].name}`,
    '',
    lawTexts[law].promise,
    '',
    ...laws.filter((each) => each.law === law).map(({ id, title }) => `- \`${id}\`: ${title}`),
  ])
  return [begin, '', ...table, ...tests, '', end].join('\n')
}

test('docs/laws.md says what the suite proves, and which store excuses which law', () => {
  const text = readFileSync(file, 'utf8')
  const [before = '', rest = ''] = text.split(begin)
  const after = rest.split(end)[1] ?? ''
  const wanted = `${before}${fromTheSuite()}${after}`
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(file, wanted)
  else assert.equal(text, wanted, 'docs/laws.md differs from the suite; run: UPDATE_DOCS=1 node test/laws/docs.test.ts')
})

test('the suite has a test of every law, each with a name of its own', () => {
  assert.deepEqual(new Set(laws.map(({ law }) => law)), new Set([1, 2, 3, 4, 5, 6, 7, 8]))
  assert.equal(new Set(laws.map(({ id }) => id)).size, laws.length)
})
