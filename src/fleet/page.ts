/** The demo's page: one document without any other file, so that the plain compiler's output is all that is published. */

export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#f4f5f7, #14171c);
  --card: light-dark(#ffffff, #1d2128);
  --line: light-dark(#dfe3e8, #323843);
  --text: light-dark(#1c2430, #e6e9ee);
  --soft: light-dark(#5c6675, #9aa4b2);
  --accent: light-dark(#2459c4, #8ab0ff);
  --accent-ground: light-dark(#eaf0fd, #202c45);
  --good: light-dark(#1a7f4b, #5fd39a);
  --bad: light-dark(#b3261e, #ff8f85);
  --bad-ground: light-dark(#fdecea, #3a2220);
}
* { box-sizing: border-box; margin: 0; }
body { background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif; padding: 1.25rem; }
main, header { max-width: 62rem; margin: 0 auto; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 .9rem; margin-bottom: 1rem; }
h1 { font-size: 1.35rem; letter-spacing: -.01em; }
h2 { font-size: .8rem; font-weight: 600; color: var(--soft); margin-bottom: .7rem; }
main { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem; min-width: 0; }
.wide { grid-column: 1 / -1; }
.soft { color: var(--soft); }
code, td, .pid { font-family: ui-monospace, monospace; font-size: .87em; }
dl { display: grid; grid-template-columns: 6.5rem 1fr; gap: .3rem .5rem; margin-bottom: 1rem; }
dt { color: var(--soft); }
dd { min-width: 0; overflow-wrap: anywhere; }
#user { font-weight: 600; }
.buttons { display: flex; flex-wrap: wrap; gap: .5rem; }
.buttons + .buttons { margin-top: .5rem; }
button, input { font: inherit; color: inherit; border: 1px solid var(--line); border-radius: 7px; padding: .3rem .75rem; background: var(--card); }
input { width: 7rem; }
button { cursor: pointer; }
button:hover:enabled { border-color: var(--accent); }
button:disabled { opacity: .45; cursor: default; }
button.main { background: var(--accent); border-color: var(--accent); color: light-dark(#ffffff, #10151f); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
#nodes { list-style: none; padding: 0; display: grid; gap: .5rem; }
#nodes li { display: flex; align-items: center; gap: .7rem; border: 1px solid var(--line); border-radius: 8px; padding: .5rem .7rem; }
#nodes li.served { border-color: var(--accent); background: var(--accent-ground); }
#nodes .dot { width: .65rem; height: .65rem; border-radius: 50%; background: var(--good); flex: none; }
#nodes .dead .dot { background: var(--bad); }
#nodes .who { flex: 1; min-width: 0; }
#nodes .who span { display: block; }
#notice { background: var(--bad-ground); border-color: var(--bad); }
#notice[hidden] { display: none; }
table { width: 100%; border-collapse: collapse; }
#log { max-height: 13.5rem; overflow: auto; }
#tip { margin-top: .8rem; }
td { padding: .22rem .8rem .22rem 0; border-top: 1px solid var(--line); white-space: nowrap; }
td:last-child { width: 99%; min-width: 14rem; white-space: normal; padding-right: 0; }
tr:first-child td { border-top: 0; }
tr.failed td { color: var(--bad); }
@media (max-width: 44rem) { main { grid-template-columns: 1fr; } }
`

export const SCRIPT = `
'use strict'
const at = (id) => document.getElementById(id)
const ITEMS = ['tea', 'bread', 'apples', 'honey', 'cheese']
let fleet = { store: '', affinity: '', nodes: [] }
let served = null
let session = null
let isBusy = false

function element(name, className, text) {
  const made = document.createElement(name)
  if (className) made.className = className
  if (text !== undefined) made.textContent = text
  return made
}

/** What the visitor had last, kept over a reload, so that the page can tell what was lost and why. */
const memory = {
  get: () => JSON.parse(sessionStorage.getItem('seen') ?? 'null'),
  set: (seen) => sessionStorage.setItem('seen', JSON.stringify(seen)),
}

function remember({ node, session }) {
  if (session.key !== null) memory.set({ user: session.user, node })
}

function log(request, node, text, failed) {
  const row = element('tr', failed ? 'failed' : '')
  row.append(element('td', 'soft', new Date().toTimeString().slice(0, 8)), element('td', '', request))
  row.append(element('td', '', node ? node.name + ' · ' + node.pid : '—'), element('td', '', text))
  at('rows').prepend(row)
  while (at('rows').rows.length > 100) at('rows').deleteRow(-1)
}

const toText = ({ key, user, cart, views }) =>
  key === null
    ? 'knows no session'
    : 'session ' + key + ', ' + (user ?? 'nobody logged in') + ', ' + cart.length + ' in the cart, ' + views + ' views'

/** One request through the gateway; null where nobody could answer it. */
async function ask(path, body) {
  const request = (body ? 'POST ' : 'GET ') + path
  const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  try {
    const response = await fetch('/api/' + path, body ? post : {})
    const text = await response.text()
    const answer = text.startsWith('{') ? JSON.parse(text) : { message: text.trim() }
    if (answer.node) served = answer.node
    log(request, answer.node, response.ok ? toText(answer.session) : response.status + ' ' + answer.message, !response.ok)
    return response.ok ? answer : null
  } catch (error) {
    log(request, null, 'no answer: ' + error.message, true)
    return null
  }
}

/** Reads the session, and tells the reason where it was there before and is not now. */
async function look() {
  const answer = await ask('session')
  if (answer) {
    session = answer.session
    const seen = memory.get()
    const isLost = session.key === null && seen !== null
    at('notice').hidden = !isLost
    if (isLost) at('why').textContent = reason(seen)
    remember(answer)
  }
  show()
}

function reason({ user, node }) {
  const whose = user === null ? 'The session' : 'The session of ' + user
  const here = served.name + ' (pid ' + served.pid + ')'
  if (fleet.store !== 'memory') return whose + ' is gone: it ended, or its time was over. ' + here + ' knows none.'
  const lives = fleet.nodes.some(({ pid, alive }) => pid === node.pid && alive)
  const why = lives
    ? 'It lives only in the memory of ' + node.name + ' (pid ' + node.pid + '), and ' + here + ' answered this time. Round-robin needs a store that the nodes share.'
    : 'It lived only in the memory of ' + node.name + ' (pid ' + node.pid + '), and that process is gone. A store that the nodes share keeps it: --store mesh, sqlite or redis.'
  return whose + ' is lost. ' + why
}

async function act(path, body) {
  if (isBusy) return
  isBusy = true
  show()
  const answer = await ask(path, body)
  if (answer && path === 'logout') memory.set(null)
  else if (answer) remember(answer)
  isBusy = false
  await look()
}

async function control(action, node) {
  const headers = { 'content-type': 'application/json', 'x-sojourn-demo': '1' }
  try {
    const response = await fetch('/demo/' + action, { method: 'POST', headers, body: JSON.stringify({ node: node.name }) })
    const { message } = await response.json()
    log(action, node, response.ok ? (action === 'kill' ? 'SIGKILL: its process is gone' : 'started again') : message, !response.ok)
  } catch (error) {
    log(action, node, error.message, true)
  }
}

function show() {
  document.body.setAttribute('aria-busy', String(isBusy))
  const { key = null, user = null, cart = [], views = 0, hint = null, holders = [] } = session ?? {}
  at('user').textContent = user ?? 'nobody logged in'
  at('key').textContent = key === null ? 'none yet' : key + '…'
  at('cart').textContent = cart.length > 0 ? cart.join(', ') : 'empty'
  at('views').textContent = String(views)
  at('hint').textContent = hint ?? 'none'
  const [owner, ...backups] = holders
  at('kept').textContent = owner === undefined ? '—' : owner + ' (owner)' + backups.map((name) => ', ' + name).join('')
  for (const part of document.querySelectorAll('.mesh')) part.hidden = fleet.store !== 'mesh'
  at('by').textContent = served ? served.name + ' (pid ' + served.pid + ')' : '—'
  for (const button of document.querySelectorAll('#shop button')) button.disabled = isBusy
  at('login').disabled = isBusy || user !== null
  at('logout').disabled = isBusy || user === null
  at('about').textContent = fleet.nodes.length + ' nodes · sessions ' + (fleet.store === 'memory' ? 'in the memory of each' : fleet.store === 'mesh' ? 'replicated between them' : 'on ' + fleet.store) + ' · the gateway chooses by ' + fleet.affinity
  at('tip').textContent = 'Kill the node that answered last, then ask again: another one answers, and ' + (fleet.store === 'memory' ? 'does not know your session.' : 'knows your session.')
  at('nodes').replaceChildren(...fleet.nodes.map(toNode))
}

function toNode(node) {
  const isServed = served !== null && served.pid === node.pid
  const row = element('li', (node.alive ? '' : 'dead') + (isServed ? ' served' : ''))
  row.dataset.node = node.name
  row.dataset.pid = node.pid
  const who = element('div', 'who')
  const text = node.alive ? (isServed ? 'answered last' : 'running') : 'gone'
  who.append(element('strong', '', node.name), ' ', element('span', 'soft pid', 'pid ' + node.pid + ' · ' + text))
  const button = element('button', '', node.alive ? 'Kill' : 'Start again')
  button.setAttribute('aria-label', button.textContent + ' ' + node.name)
  button.onclick = () => {
    button.disabled = true
    void control(node.alive ? 'kill' : 'restart', node)
  }
  row.append(element('span', 'dot'), who, button)
  return row
}

at('shop').onsubmit = (event) => {
  event.preventDefault()
  void act('login', { user: at('name').value.trim() || 'ada' })
}
at('add').onclick = () => act('cart', { item: ITEMS[(session?.cart.length ?? 0) % ITEMS.length] })
at('view').onclick = () => act('view', {})
at('logout').onclick = () => act('logout', {})
at('again').onclick = () => (isBusy ? undefined : look())

const events = new EventSource('/demo/events')
let isFirst = true
events.onmessage = ({ data }) => {
  fleet = JSON.parse(data)
  at('ended').hidden = true
  show()
  if (isFirst) void look()
  isFirst = false
}
events.onerror = () => (at('ended').hidden = false)
`

export const PAGE: string = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sojourn demo</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='7' fill='%232459c4'/%3E%3C/svg%3E">
<style>${STYLE}</style>
</head>
<body>
<header><h1>Sojourn demo</h1><p class="soft" id="about"></p></header>
<main>
<section class="wide" id="notice" role="status" hidden><p id="why"></p></section>
<section aria-labelledby="yours">
<h2 id="yours">Your session</h2>
<dl>
<dt>User</dt><dd id="user"></dd>
<dt>Cart</dt><dd id="cart"></dd>
<dt>Views</dt><dd id="views"></dd>
<dt>Key</dt><dd><code id="key"></code></dd>
<dt>Hint</dt><dd><code id="hint"></code> <span class="soft">the version you saw last</span></dd>
<dt>Answered by</dt><dd id="by"></dd>
<dt class="mesh" hidden>Kept by</dt><dd class="mesh" id="kept" hidden></dd>
</dl>
<form id="shop">
<div class="buttons">
<input id="name" value="ada" maxlength="64" aria-label="Name" autocomplete="off">
<button id="login" class="main">Log in</button>
<button id="logout" type="button">Log out</button>
</div>
<div class="buttons">
<button id="add" type="button">Add to cart</button>
<button id="view" type="button">Count a view</button>
<button id="again" type="button">Ask again</button>
</div>
</form>
</section>
<section aria-labelledby="fleet">
<h2 id="fleet">Nodes</h2>
<ul id="nodes"></ul>
<p class="soft" id="tip"></p>
<p class="soft" id="ended" hidden>The demo does not answer; has it been ended?</p>
</section>
<section class="wide" aria-labelledby="requests">
<h2 id="requests">Requests through the gateway, the last one first</h2>
<div id="log"><table><tbody id="rows"></tbody></table></div>
</section>
</main>
<script>${SCRIPT}</script>
</body>
</html>
`
