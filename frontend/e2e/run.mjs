// End-to-end tests in a real browser: npm run e2e [-- PART-OF-A-NAME ...]
//
//   RDD_URL      the address that `rdd dashboard --no-open` prints; without it, the page over the fake
//   RDD_HOLD     a command after which starts of VMs hang, and RDD_RELEASE one after which they continue: for the
//                timeout questions of a real service
//   RDD_BOX      the image for the scenarios with a real engine
//   RDD_BROWSER  Chromium, default /usr/bin/chromium
//   RDD_TIMEOUT  ms for anything to appear, default 15000
//   RDD_SHOTS    where screenshots go, default e2e/shots
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build, preview } from 'vite'
import { launch } from './browser.mjs'
import { engineScenarios } from './engine.mjs'
import { looks } from './looks.mjs'
import { scenarios } from './scenarios.mjs'

const here = fileURLToPath(new URL('.', import.meta.url))
const wanted = process.argv.slice(2)
const shots = process.env.RDD_SHOTS ?? `${here}shots`
mkdirSync(shots, { recursive: true })

// served serves the page over the fake, on a free port.
async function served() {
  const common = { root: `${here}..`, mode: 'fake', logLevel: 'warn' }
  await build(common)
  const server = await preview({ ...common, preview: { port: 0, strictPort: false } })
  return { url: server.resolvedUrls.local[0], close: () => server.close() }
}

const real = process.env.RDD_URL
const site = real ? { url: real, close: () => {} } : await served()
const browser = await launch()

// All scenarios share one page of a real service, because its token is valid once; the fake gets a new page each time, in a
// context of its own, which has the clock.
let only
async function page({ scene = 'usual', hash = '#/overview', pace = 60, language, width, height, clock } = {}) {
  if (real && only) {
    await only.evaluate((h) => (location.hash = h), hash)
    return only
  }
  const p = await browser.newPage({ viewport: { width: 1180, height: 760 }, locale: 'en-GB' })
  p.setDefaultTimeout(Number(process.env.RDD_TIMEOUT ?? 60_000))
  if (width) await p.setViewportSize({ width, height })
  p.said = []
  if (clock) await p.clock.install() // so that a test can advance the time
  p.on('pageerror', (e) => p.said.push(`error: ${e.message}`))
  p.on('console', (m) => m.type() === 'error' && p.said.push(`console: ${m.text()} ${m.location().url}`))
  if (language) {
    await p.addInitScript((l) => {
      Object.defineProperty(navigator, 'language', { configurable: true, get: () => l })
      Object.defineProperty(navigator, 'languages', { configurable: true, get: () => [l] })
    }, language)
  }
  await p.goto(real ?? `${site.url}?scene=${scene}&pace=${pace}${hash}`)
  await p.getByText('Service: ').first().waitFor()
  if (real) {
    only = p
    await p.evaluate((h) => (location.hash = h), hash)
  }
  return p
}

// listed returns the ids of the pages, as the sidebar lists them.
async function listed() {
  const p = await page()
  const links = await p.getByRole('navigation', { name: 'Pages' }).getByRole('link').all()
  const ids = await Promise.all(links.map(async (link) => (await link.getAttribute('href')).slice('#/'.length)))
  await p.close()
  return ids
}

const failures = []
const tests = { ...scenarios, ...engineScenarios, ...(!real && looks(await listed())) }
const queue = Object.entries(tests).filter(
  ([name, { fakeOnly, realOnly }]) =>
    (!wanted.length || wanted.some((w) => name.includes(w))) && !(real ? fakeOnly : realOnly),
)

async function test(name, { needs, run }) {
  if (real && needs && !needs.every((v) => process.env[v])) {
    console.log(`skip  ${name}: needs ${needs.join(', ')}`)
    return
  }
  const opened = []
  const began = Date.now()
  try {
    const said = await run({
      real: !!real,
      shots,
      open: async (o) => {
        const p = await page(o)
        opened.push(p)
        return p
      },
    })
    const complaints = opened.flatMap((p) => p.said)
    if (complaints.length) throw new Error(`the browser complained:\n${complaints.join('\n')}`)
    console.log(`ok    ${name} (${Date.now() - began} ms)${said ? `: ${said}` : ''}`)
  } catch (e) {
    failures.push(name)
    console.log(`FAIL  ${name}: ${(e.stack ?? String(e)).split('\n').slice(0, 15).join('\n')}`)
    for (const p of opened) {
      for (const line of p.said) console.log(`      the browser said: ${line}`)
      for (const text of await p.locator('dialog').allInnerTexts())
        console.log(`      a dialog is open: ${text.replaceAll(/\s+/g, ' ')}`)
    }
    for (const [i, p] of opened.entries())
      await p.screenshot({ path: `${shots}/failed-${name.replaceAll(/\W+/g, '-')}-${i}.png` }).catch(() => {})
  }
  for (const p of opened) {
    p.said = []
    if (!real) await p.close()
  }
}

// Over the fake two tests run at once. A test whose figures count is the only one that was asked for.
async function work() {
  while (queue.length) {
    await test(...queue.shift())
    if (real && failures.length) queue.length = 0 // the shared page is in an unknown state
  }
}
await Promise.all(Array.from({ length: real ? 1 : 2 }, work))
await browser.close()
await site.close()
if (failures.length) {
  console.log(`${failures.length} failed: ${failures.join(', ')}`)
  process.exit(1)
}
