// For every page and dialog, light and dark: a screenshot, the findings of axe-core, and whether it is wider than the window.
import axe from 'axe-core'
import assert from 'node:assert/strict'

const GiB = 1024 ** 3
const engine = (page) => page.getByRole('region', { name: 'Container engine' })
// Changes the App of the fake.
const change = (page, app) =>
  page.evaluate((app) => window.fake.push({ app: { ...window.fake.state.app, ...app } }), app)
const usualEngine = {
  name: 'moby',
  version: '26.1.5',
  socket: '/home/ada/.rdd/default/docker.sock',
  contextName: 'rdd',
  contextExists: true,
}
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
  'overview-new': [{ scene: 'first' }, click('Not now')],
  'overview-starting': [
    { scene: 'stopped', pace: 60000 },
    async (page) => {
      await engine(page).getByRole('button', { name: 'Start' }).click()
      await page.getByRole('progressbar').waitFor()
    },
  ],
  'overview-failed': [
    {},
    (page) =>
      change(page, {
        state: 'broken',
        message: 'boot VM "rd": wait for SSH: the guest did not answer within 5 minutes',
        advice: 'Look at the serial console in the logs, or reset the virtual machine.',
        ports: [],
      }),
  ],
  'overview-warnings': [
    {},
    (page) =>
      change(page, {
        engine: { ...usualEngine, contextCurrent: false },
        disk: {
          used: 88 * GiB,
          capacity: 98 * GiB,
          allocated: 91 * GiB,
          maximum: 100 * GiB,
          percent: 89,
          warning:
            'the data disk is 89 % full; remove what is not used with: docker system prune; or enlarge it with: rdd set virtualMachine.disk=151Gi',
        },
        problems: ['port 5432 of the container "shop-db-1" can’t be reached on this host at 127.0.0.1:5432'],
        counts: { running: 0, total: 0 },
        ports: [],
      }),
  ],
  'ports-refused': [
    { hash: '#/ports' },
    async (page) => {
      const port = { protocol: 'tcp', guestAddress: '172.18.0.3:443', container: 'shop-web-1' }
      await change(page, {
        ports: [
          {
            ...port,
            hostAddress: '0.0.0.0:8443',
            state: 'NotPermitted',
            message: 'ports are not opened to other computers unless you allow it: rdd set ports.bindAddresses=0.0.0.0',
          },
          {
            ...port,
            hostAddress: '127.0.0.1:80',
            state: 'NotPermitted',
            message:
              'this system reserves ports below 1024: choose a port from 1024 on, or allow it: sudo sysctl net.ipv4.ip_unprivileged_port_start=80',
          },
          { ...port, protocol: 'udp', hostAddress: '[::1]:5353', container: undefined, state: 'Forwarded' },
          {
            ...port,
            hostAddress: '127.0.0.1:5432',
            state: 'Busy',
            message: 'postgres (process 4711) has that port already. As soon as it is free, RDD takes it',
          },
        ],
      })
      await page.getByText('Not permitted').first().waitFor()
    },
  ],
  'dialog-allow': [
    { hash: '#/ports' },
    async (page) => {
      await change(page, {
        ports: [
          {
            protocol: 'tcp',
            hostAddress: '192.168.1.10:8443',
            guestAddress: '172.18.0.3:443',
            container: 'shop-web-1',
            state: 'NotPermitted',
            message: 'not unless you allow it: rdd set ports.bindAddresses=192.168.1.10',
          },
        ],
      })
      await click('Allow 192.168.1.10…')(page)
    },
  ],
  'ports-empty': [{ hash: '#/ports' }, (page) => change(page, { ports: [] })],
  'ports-stopped': [{ scene: 'stopped', hash: '#/ports' }],
  'settings-engine': [{ hash: '#/settings/engine' }, (page) => page.getByText('Shared folders').first().waitFor()],
  'settings-engine-changed': [
    { hash: '#/settings/engine' },
    async (page) => {
      await page.getByLabel('Processors', { exact: true }).fill('6')
      await click('Add folder')(page)
      await page.getByLabel('Folder 2', { exact: true }).fill('projects')
      await click('Add address')(page)
      await page.getByLabel('Address 1', { exact: true }).fill('192.168.1.10')
      await page.getByText('must be absolute').waitFor()
      await page.getByRole('button', { name: 'Apply and restart' }).scrollIntoViewIfNeeded()
    },
  ],
  'machine-app': [{ hash: '#/machines/rd' }, (page) => page.locator('.uplot canvas').first().waitFor()],
  'service-usage': [
    { hash: '#/troubleshooting' },
    async (page) => {
      await click('Show resource usage')(page)
      await page.locator('.uplot canvas').first().waitFor()
    },
  ],
  'containers-selected': [
    { hash: '#/containers' },
    async (page) => {
      await page.getByRole('checkbox', { name: 'Select shop', exact: true }).check()
      await page.getByRole('button', { name: 'Collapse metrics' }).click()
    },
  ],
  ...Object.fromEntries(
    ['overview', 'containers', 'images', 'volumes', 'networks', 'settings/engine'].map((at) => [
      `containerd-${at.replace('/', '-')}`,
      [{ scene: 'containerd', hash: `#/${at}` }],
    ]),
  ),
  'containerd-stats': [
    { scene: 'containerd', hash: '#/containers/shop-web-1/stats' },
    (page) => page.getByText(/does not tell RDD/).waitFor(),
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
  container: [
    { hash: '#/containers/shop-api-1' },
    async (page) => {
      await page.getByLabel('Timestamps').check()
      await page.getByLabel('Find in the log').fill('items/98')
    },
  ],
  'container-wrapped': [
    { hash: '#/containers/shop-api-1', width: 700, height: 500 },
    async (page) => {
      await page.getByLabel('Timestamps').check()
      await page.getByLabel('Wrap').check()
      await page.evaluate(() => window.fake.say(`${'a long line that has to be folded '.repeat(12)}\n`))
      await page.getByText('a long line').first().waitFor()
    },
  ],
  'container-overview': [
    { hash: '#/containers/shop-db-1/overview' },
    (page) => page.getByRole('heading', { name: 'Labels' }).waitFor(),
  ],
  'container-shell': [{ hash: '#/containers/shop-api-1/shell' }, (page) => page.getByText('root@').first().waitFor()],
  'container-no-shell': [
    { hash: '#/containers' },
    async (page) => {
      await page.evaluate(
        () =>
          (window.fake.refusals['container.shellOpen'] = {
            kind: 'rejected',
            message: 'container registry has no shell: exec: "sh": executable file not found in $PATH',
          }),
      )
      await page.evaluate(() => (location.hash = '#/containers/registry/shell'))
      await page.getByText('has no shell').waitFor()
    },
  ],
  'container-files': [
    { hash: '#/containers/shop-web-1/files' },
    async (page) => {
      await page.getByRole('button', { name: 'app', exact: true }).click()
      await click('Download package.json')(page)
      await page.getByText('/home/ada/Downloads/package.json').waitFor()
    },
  ],
  'container-stats': [
    { hash: '#/containers/shop-web-1/stats', clock: true },
    async (page) => {
      await page.locator('.uplot canvas').first().waitFor()
      await page.clock.runFor(120_000)
    },
  ],
  'container-inspect': [
    { hash: '#/containers/shop-web-1/inspect' },
    (page) => page.getByRole('region', { name: /JSON/ }).waitFor(),
  ],
  'container-stopped': [{ hash: '#/containers/blog-wordpress-1/shell' }],
  'container-deleted': [
    { hash: '#/containers/registry' },
    async (page) => {
      await page.getByText('GET /api').first().waitFor()
      await page.evaluate(() => window.fake.call('container.delete', { ids: ['registry'], force: true }))
      await page.getByText('This container was deleted.').waitFor()
    },
  ],
  'narrow-container': [{ width: 560, height: 420, hash: '#/containers/shop-web-1' }],
  'narrow-container-files': [{ width: 560, height: 420, hash: '#/containers/shop-web-1/files' }],
  volume: [{ hash: '#/volumes/shop_data' }, (page) => page.getByText('PG_VERSION').waitFor()],
  'volume-overview': [{ hash: '#/volumes/shop_data/overview' }],
  'dialog-new-volume': [
    { hash: '#/volumes' },
    async (page) => {
      await click('New volume')(page)
      await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click()
      await page.getByText('Enter a name.').waitFor()
    },
  ],
  'dialog-new-network': [{ hash: '#/networks' }, click('New network')],
  'dialog-prune-volumes': [{ hash: '#/volumes' }, click('Delete unused…')],
  'volume-gone': [{ hash: '#/volumes/nothing' }],
  network: [
    { hash: '#/networks' },
    async (page) => {
      await page.getByRole('link', { name: 'shop_default' }).click()
      await page.getByText('172.18.0.0/16').waitFor()
    },
  ],
  'narrow-volumes': [{ width: 560, height: 420, hash: '#/volumes' }],
  'narrow-networks': [{ width: 560, height: 420, hash: '#/networks' }],
  'dialog-delete-volumes': [
    { hash: '#/volumes' },
    async (page) => {
      await page.getByRole('checkbox', { name: 'Select all' }).check()
      await click('Delete…')(page)
    },
  ],
  'images-selected': [
    { hash: '#/images' },
    async (page) => {
      await page.getByRole('checkbox', { name: 'Select golang:1.26' }).check()
      await page.getByRole('checkbox', { name: 'Select redis:8-alpine' }).check()
    },
  ],
  'images-empty': [
    { hash: '#/images' },
    async (page) => {
      await page.evaluate(() => {
        window.fake.engine.clear()
        window.fake.pushEngine()
      })
      await page.getByText('No images yet').waitFor()
    },
  ],
  'narrow-images': [{ width: 560, height: 420, hash: '#/images' }],
  image: [
    { hash: '#/images' },
    async (page) => {
      await page.getByRole('link', { name: 'postgres:17' }).click()
      await page.getByText('Digests').waitFor()
    },
  ],
  'image-inspect': [
    { hash: '#/images' },
    async (page) => {
      await page.getByRole('link', { name: 'postgres:17' }).click()
      await page.getByRole('tab', { name: 'Inspect' }).click()
      await page.getByText('"repoTag": "postgres:17"').waitFor()
    },
  ],
  'dialog-pull': [{ hash: '#/images' }, click('Pull…')],
  'dialog-pull-progress': [
    { hash: '#/images', pace: 3000 },
    async (page) => {
      await click('Pull…')(page)
      await page.getByLabel('Image', { exact: true }).fill('nginx:1.29')
      await page.getByRole('button', { name: 'Pull', exact: true }).click()
      await page.getByText('Pull complete').first().waitFor()
    },
  ],
  'dialog-build': [
    { hash: '#/images' },
    async (page) => {
      await click('Build…')(page)
      await page.getByLabel('Folder').fill('/home/ada/src/shop')
      await page.getByLabel('Tag', { exact: true }).fill('shop-web:dev')
      await page.getByText('More options').click()
      await click('Add argument')(page)
    },
  ],
  'dialog-build-progress': [
    { hash: '#/images', pace: 4000 },
    async (page) => {
      await click('Build…')(page)
      await page.getByLabel('Folder').fill('/home/ada/src/shop')
      await page.getByRole('button', { name: 'Build', exact: true }).click()
      await page.getByText('[1/3] FROM debian:trixie').waitFor()
      await page
        .getByText(/earlier line/)
        .first()
        .waitFor()
    },
  ],
  'dialog-push': [{ hash: '#/images' }, click('Push grafana/grafana:12.2.0')],
  'dialog-tag': [{ hash: '#/images' }, click('Tag golang:1.26')],
  'dialog-delete-image': [{ hash: '#/images' }, click('Delete hello-world:latest')],
  'dialog-prune': [
    { hash: '#/images' },
    async (page) => {
      await click('Prune…')(page)
      await page.getByRole('radio', { name: /that no container uses/ }).check()
    },
  ],
  'dialog-pruned': [
    { hash: '#/images' },
    async (page) => {
      await click('Prune…')(page)
      await page.getByRole('button', { name: 'Prune', exact: true }).click()
      await page.getByText('2 deleted').first().waitFor()
    },
  ],
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
  'narrow-ports': [{ width: 560, height: 420, hash: '#/ports' }],
  'narrow-settings-engine': [{ width: 560, height: 420, hash: '#/settings/engine' }],
  'narrow-first-run': [{ width: 560, height: 420, scene: 'first' }],
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
  'dialog-first-run': [{ scene: 'first' }, (page) => page.getByLabel('Processors', { exact: true }).waitFor()],
  'dialog-first-run-end': [
    { scene: 'first' },
    (page) => page.getByLabel('Start the service at login').scrollIntoViewIfNeeded(),
  ],
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

// inTheme changes the colours of the page, and waits until they are drawn.
export async function inTheme(page, theme) {
  await page.emulateMedia({ colorScheme: theme })
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))))
}

// violations returns what axe-core finds wrong with the page as it is.
export async function violations(page) {
  await page.evaluate(axe.source)
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
  return found.violations.flatMap((v) =>
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

// Finds what has a scroll bar of its own that is never needed: a dialog, whose content scrolls, and a row of tabs.
const scrolls = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll('dialog[open], [role=tablist]')]
      .filter((e) => getComputedStyle(e).overflowY !== 'hidden' && e.scrollHeight > e.clientHeight)
      .map((e) => `${e.tagName} ${e.ariaLabel}: ${e.scrollHeight} px high in ${e.clientHeight}`),
  )

async function look({ open, shots }, name, [options, prepare]) {
  const page = await open(options)
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' })
  await prepare?.(page)
  const wrong = [...(await tooWide(page)), ...(await scrolls(page))]
  for (const theme of ['light', 'dark']) {
    await inTheme(page, theme)
    await page.screenshot({ path: `${shots}/${name}-${theme}.png` })
    wrong.push(...(await violations(page)).map((w) => `${theme}: ${w}`))
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
