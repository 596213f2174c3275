// For every page and dialog, light and dark: a screenshot, the findings of axe-core, and whether it is wider than the window.
import axe from 'axe-core'
import assert from 'node:assert/strict'

const click = (name) => async (page) => page.getByRole('button', { name }).first().click()

// name: [options of the page, preparation]. Pages of the sidebar that are not listed are shown as they open.
const views = {
  overview: [
    { clock: true },
    async (page) => {
      await page.locator('.uplot canvas').first().waitFor()
      await page.clock.runFor(120_000) // for the charts to have something to show
    },
  ],
  'overview-stopped': [{ scene: 'stopped' }],
  'overview-broken': [{ scene: 'broken' }],
  'overview-starting': [
    { scene: 'stopped', pace: 60000 },
    async (page) => {
      await page.getByRole('region', { name: 'Service' }).getByRole('button', { name: 'Start' }).click()
      await page.getByRole('button', { name: 'Run in background' }).click()
    },
  ],
  'containers-selected': [
    { hash: '#/containers' },
    async (page) => {
      await page.getByRole('checkbox', { name: 'Select shop', exact: true }).check()
      await page.getByRole('button', { name: 'Collapse metrics' }).click()
    },
  ],
  'containers-refused': [
    { hash: '#/containers' },
    async (page) => {
      await page.getByRole('treegrid').waitFor()
      await page.evaluate(() =>
        window.fake.refuse('container.stop', 'registry', 'cannot stop container: permission denied'),
      )
      await click('Stop registry')(page)
      await page.getByRole('alert').waitFor()
    },
  ],
  'containers-many': [{ scene: 'many', hash: '#/containers' }],
  'containers-stopped': [{ scene: 'stopped', hash: '#/containers' }],
  'containers-empty': [
    { hash: '#/containers' },
    async (page) => {
      await page.evaluate(() => {
        window.fake.engine.clear()
        window.fake.pushEngine()
      })
      await page.getByText('No containers yet').waitFor()
    },
  ],
  'narrow-containers': [{ width: 560, height: 420, hash: '#/containers' }],
  'dialog-delete-containers': [{ hash: '#/containers' }, click('Delete all of shop')],
  'machines-empty': [{ scene: 'first', hash: '#/machines' }, click('Not now')],
  'machines-many': [{ scene: 'many', hash: '#/machines' }],
  'machine-summary': [{ hash: '#/machines/web' }, (page) => page.locator('.uplot canvas').first().waitFor()],
  'machine-failed': [{ hash: '#/machines/old-debian' }],
  'machine-resources': [
    { hash: '#/machines/web/resources' },
    (page) => page.getByLabel('Processors', { exact: true }).fill('6'),
  ],
  'machine-parameters': [
    { hash: '#/machines/web/parameters' },
    (page) => page.getByLabel('Greeting', { exact: true }).fill('good day'),
  ],
  'machine-parameters-invalid': [
    { hash: '#/machines/web/parameters' },
    async (page) => {
      await page.getByLabel('Greeting', { exact: true }).fill('good\u0007day')
      await page.getByText('contains unprintable character').waitFor()
    },
  ],
  'machine-template': [{ hash: '#/machines/web/template' }, (page) => page.locator('.cm-content').waitFor()],
  'machine-logs': [{ hash: '#/machines/web/logs' }, (page) => page.getByLabel('Find in the log').fill('line 19')],
  'machine-shell': [{ hash: '#/machines/web/shell' }, (page) => page.getByText('me@web').waitFor()],
  diagnostics: [{ hash: '#/diagnostics' }, (page) => page.getByRole('button', { name: 'Clear leftovers' }).waitFor()],
  'diagnostics-warnings': [
    { hash: '#/diagnostics' },
    async (page) => {
      await click('Clear leftovers')(page)
      await page.getByText('1 warning', { exact: true }).first().waitFor()
      await page.getByText('No operations').waitFor()
    },
  ],
  troubleshooting: [{ hash: '#/troubleshooting' }, (page) => page.getByRole('cell', { name: 'OK' }).waitFor()],
  'narrow-overview': [{ width: 560, height: 420 }],
  'narrow-machines': [{ width: 560, height: 420, hash: '#/machines' }],
  'narrow-resources': [{ width: 560, height: 420, hash: '#/machines/web/resources' }],
  'narrow-create': [{ width: 560, height: 420, hash: '#/machines' }, click('New virtual machine')],
  'narrow-logs': [{ width: 560, height: 420, hash: '#/machines/web/logs' }],
  'narrow-shell': [
    { width: 560, height: 420, hash: '#/machines/web/shell' },
    (page) => page.getByText('me@web').waitFor(),
  ],
  'narrow-troubleshooting': [{ width: 560, height: 420, hash: '#/troubleshooting' }],
  'narrow-bundle': [
    { width: 560, height: 420, hash: '#/diagnostics' },
    async (page) => {
      await click('Create bundle')(page)
      await page.getByRole('dialog').getByText('report.json').waitFor()
    },
  ],
  'dialog-first-run': [{ scene: 'first' }],
  'dialog-create': [
    { hash: '#/machines' },
    async (page) => {
      await click('New virtual machine')(page)
      await page.getByLabel('Name', { exact: true }).fill('Not A Name')
      await page.getByLabel('Set processors, memory and disk').check()
      await page.locator('[id$=name-wrong]').waitFor()
    },
  ],
  'dialog-create-parameters': [
    { hash: '#/machines' },
    async (page) => {
      await click('New virtual machine')(page)
      await page.getByLabel('Name', { exact: true }).fill('shop')
      await page.getByLabel('Template', { exact: true }).selectOption('debian-13')
      await page.getByLabel('Greeting', { exact: true }).fill('good\u0007day')
      await page.getByText('Other parameters').click()
      await click('Add parameter')(page)
      await page.getByLabel('Name of parameter 1').fill('Unknown')
      await page.getByText('is not used in any').waitFor()
    },
  ],
  'dialog-create-text': [
    { hash: '#/machines' },
    async (page) => {
      await click('New virtual machine')(page)
      await click('Customize the template')(page)
      await page.locator('.cm-content').waitFor()
    },
  ],
  'dialog-progress': [
    { hash: '#/machines', pace: 3000 },
    async (page) => {
      await click('Start slow')(page)
      await page
        .getByRole('dialog')
        .getByText(/190 MiB of 320 MiB/)
        .waitFor()
    },
  ],
  'dialog-progress-log': [
    { hash: '#/machines', pace: 60000 },
    async (page) => {
      await click('Start slow')(page)
      await click('Show log')(page)
      await page
        .getByText(/earlier line/)
        .first()
        .waitFor()
    },
  ],
  'dialog-cancel-creation': [
    { hash: '#/machines', pace: 60000 },
    async (page) => {
      await click('New virtual machine')(page)
      await page.getByLabel('Name', { exact: true }).fill('shop')
      await click('Create')(page)
      await page
        .getByRole('dialog', { name: /Create and start/ })
        .getByRole('button', { name: 'Cancel' })
        .click()
      await page.getByRole('button', { name: 'Continue' }).waitFor()
    },
  ],
  'dialog-question': [
    { hash: '#/machines', pace: 20 },
    async (page) => {
      await click('Start slow')(page)
      await page.getByRole('button', { name: 'Keep waiting' }).waitFor()
    },
  ],
  'dialog-failure': [
    { hash: '#/machines' },
    async (page) => {
      await page.evaluate(
        () =>
          (window.fake.refusals['vm.start'] = {
            kind: 'rejected',
            message: 'start VM "slow": the disk is locked by process 4711',
            advice: 'Stop that process, or restart the service.',
            log: '/home/me/.local/state/rdd/default/log/rddd.log',
          }),
      )
      await click('Start slow')(page)
    },
  ],
  'dialog-delete': [{ hash: '#/machines/web' }, click('Delete…')],
  'dialog-factory-reset': [{ hash: '#/troubleshooting' }, click('Factory reset…')],
  'dialog-bundle': [
    { hash: '#/diagnostics' },
    async (page) => {
      await click('Create bundle')(page)
      await page.getByRole('button', { name: /rddd.log/ }).click()
      await page
        .getByText(/redacted/)
        .first()
        .waitFor()
    },
  ],
  'dialog-shortcuts': [{}, (page) => page.keyboard.press('Shift+?')],
  'dialog-quit': [{ hash: '#ask=quit' }],
  'banner-lost': [{}, (page) => page.evaluate(() => window.fake.link('lost'))],
  'banner-killed': [{}, (page) => page.evaluate(() => window.fake.kill())],
}

async function judge(page) {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  return violations.flatMap((v) =>
    v.nodes.map((n) => `${v.id}: ${n.target.join(' ')}: ${n.failureSummary?.replaceAll('\n', ' ')}`),
  )
}

// Finds pages and dialogs that scroll sideways.
const tooWide = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll('main, [role=tabpanel], dialog[open] form, dialog[open] form > div')]
      .filter((e) => e.scrollWidth > e.clientWidth)
      .map((e) => `${e.tagName} ${e.id}: ${e.scrollWidth} px in ${e.clientWidth}`),
  )

async function look({ open, shots }, name, [options, prepare]) {
  const page = await open(options)
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' })
  await prepare?.(page)
  const wrong = await tooWide(page)
  for (const theme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme: theme })
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
    await page.screenshot({ path: `${shots}/${name}-${theme}.png` })
    wrong.push(...(await judge(page)).map((w) => `${theme}: ${w}`))
  }
  assert.deepEqual(wrong, [], wrong.join('\n'))
}

// looks returns a test for each view, and for each of the pages.
export function looks(pages) {
  const all = { ...Object.fromEntries(pages.map((id) => [id, [{ hash: `#/${id}` }]])), ...views }
  return Object.fromEntries(
    Object.entries(all).map(([name, view]) => [`looks: ${name}`, { fakeOnly: true, run: (o) => look(o, name, view) }]),
  )
}
