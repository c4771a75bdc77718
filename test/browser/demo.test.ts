import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Browser, chromium, type Page } from 'playwright-core'
import { type DemoProcess, startDemo } from '../fleet/demo-process.ts'
import { temporaryFolder } from '../support/folders.ts'
import { findProgram, needs } from '../support/programs.ts'

/** Chromium's own services ask the network; a test asks nothing but its fleet. */
const QUIET = ['--disable-background-networking', '--disable-component-update', '--no-first-run']

describe("the demo's page in Chromium", { skip: needs('chromium') }, () => {
  let browser: Browser
  before(async () => {
    const executablePath = findProgram('chromium') ?? ''
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', ...QUIET] })
  })
  after(() => browser?.close())

  test('keeps user and cart while the node that served is killed by its button', async () => {
    await using demo = startDemo({})
    const page = await open(browser, demo)
    await page.click('#login')
    await shows(page, '#user', 'ada')
    await page.click('#add')
    await shows(page, '#cart', 'tea')
    await page.click('#view')
    await shows(page, '#views', '1')

    const served = page.locator('#nodes .served')
    const pid = await served.getAttribute('data-pid')
    const name = await served.getAttribute('data-node')
    assert.ok(pid !== null && name !== null)
    await shows(page, '#kept', new RegExp(`^${name} \\(owner\\), node-\\d$`))
    await served.getByRole('button', { name: 'Kill' }).click()
    await page.locator(`#nodes .dead[data-pid="${pid}"]`).waitFor()
    assert.throws(() => process.kill(Number(pid), 0), { code: 'ESRCH' })

    await page.reload()
    await shows(page, '#user', 'ada')
    await shows(page, '#cart', 'tea')
    await shows(page, '#views', '1')
    assert.notEqual(await served.getAttribute('data-pid'), pid)
    await page.screenshot({ path: join(temporaryFolder(), 'demo.png') })

    await page.getByRole('button', { name: `Start again ${name}` }).click()
    await page.locator(`#nodes li:not(.dead)[data-node="${name}"]`).waitFor()
    assert.notEqual(await page.locator(`#nodes [data-node="${name}"]`).getAttribute('data-pid'), pid)

    await page.click('#logout')
    await shows(page, '#user', 'nobody logged in')
    await shows(page, '#cart', 'empty')
    assert.deepEqual(await page.context().cookies(), [], 'a logout takes both cookies')
    assert.equal(await page.locator('#notice').isVisible(), false)
  })

  test('says why the session is lost where it lived in the memory of the node that was killed', async () => {
    await using demo = startDemo({}, '--store', 'memory')
    const page = await open(browser, demo)
    await page.click('#login')
    await shows(page, '#user', 'ada')
    const served = page.locator('#nodes .served')
    const pid = await served.getAttribute('data-pid')
    await served.getByRole('button', { name: 'Kill' }).click()
    await page.locator(`#nodes .dead[data-pid="${pid}"]`).waitFor()
    await page.reload()
    await shows(page, '#user', 'nobody logged in')
    await shows(page, '#why', new RegExp(`^The session of ada is lost\\. .*\\(pid ${pid}\\), and that process is gone`))
  })

  test('says why the session is lost where round-robin sent the visitor to another node', async () => {
    await using demo = startDemo({}, '--store', 'memory', '--affinity', 'round-robin')
    const page = await open(browser, demo)
    await page.click('#login')
    await shows(
      page,
      '#why',
      /^The session of ada is lost\. It lives only in the memory of node-\d .* Round-robin needs/,
    )
  })

  test('has cookies that no script reads, and asks nobody but the gateway', async () => {
    await using demo = startDemo({})
    const asked: string[] = []
    const page = await open(browser, demo, (page) => page.on('request', (request) => asked.push(request.url())))
    await page.click('#login')
    await shows(page, '#user', 'ada')
    const cookies = await page.context().cookies()
    assert.deepEqual(cookies.map(({ name, secure, httpOnly }) => ({ name, secure, httpOnly })).toSorted(byName), [
      { name: '__Host-sid', secure: true, httpOnly: true },
      { name: '__Host-sid-v', secure: true, httpOnly: true },
    ])
    assert.equal(await page.evaluate('document.cookie'), '')
    const { origin } = new URL(page.url())
    assert.deepEqual(
      asked.filter((url) => !url.startsWith(`${origin}/`) && !url.startsWith('data:')),
      [],
    )
  })

  test('shows what a visitor typed as text', async () => {
    await using demo = startDemo({})
    const page = await open(browser, demo)
    await page.fill('#name', '<img src=x onerror=alert(1)>')
    await page.click('#login')
    await shows(page, '#user', '<img src=x onerror=alert(1)>')
    assert.equal(await page.locator('img').count(), 0)
  })
})

/** Opens the page through the gateway; an error of its script, or a breach of its policy, fails the test. */
async function open(browser: Browser, demo: DemoProcess, prepare?: (page: Page) => void): Promise<Page> {
  const page = await browser.newPage()
  page.on('pageerror', (error) => assert.fail(error))
  page.on('console', (message) => {
    if (/Content Security Policy/.test(message.text())) assert.fail(message.text())
  })
  prepare?.(page)
  await page.goto(await demo.opened())
  await page.locator('#rows tr').first().waitFor()
  return page
}

/** Resolves once the element has this text. */
async function shows(page: Page, selector: string, text: string | RegExp): Promise<void> {
  const element = page.locator(selector)
  await (
    typeof text === 'string' ? element.and(page.getByText(text, { exact: true })) : element.filter({ hasText: text })
  ).waitFor()
}

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : 1
}
