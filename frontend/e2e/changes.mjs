// Prints, for BenchmarkPageChange of cmd/rdd, the state that the list shows for each virtual machine, and each change
// of one: {"name", "word", "at"} a line, where at is in ms since 1970. It ends with stdin.
//
//   RDD_URL  the address that `rdd dashboard --no-open` prints
import { launch } from './browser.mjs'

const browser = await launch()
const page = await browser.newPage({ viewport: { width: 1180, height: 760 }, locale: 'en-GB' })
page.setDefaultTimeout(120_000)
await page.exposeFunction('say', (line) => console.log(line))
await page.goto(process.env.RDD_URL)
await page.evaluate(() => (location.hash = '#/machines'))
await page.getByRole('list', { name: 'Virtual machines' }).getByRole('listitem').first().waitFor()
await page.evaluate(() => {
  const list = document.querySelector('ul[aria-label="Virtual machines"]')
  const said = new Map()
  const look = () => {
    const at = performance.timeOrigin + performance.now()
    for (const row of list.querySelectorAll('li')) {
      const [name, word] = [...row.querySelectorAll('a span:not(:has(span))')].map((e) => e.textContent)
      if (said.get(name) !== word) window.say(JSON.stringify({ name, word, at }))
      said.set(name, word)
    }
  }
  new MutationObserver(look).observe(list, { subtree: true, childList: true, characterData: true })
  look()
})
process.stdin.resume().on('end', () => browser.close())
