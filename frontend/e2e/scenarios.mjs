// What a user does, by roles and names. Each scenario runs over the fake and over a real service, unless it says otherwise.
import assert from 'node:assert/strict'
import { execSync } from 'node:child_process'

// call calls the Go side as the page does.
export const call = (page, method, params = {}) =>
  page.evaluate(
    async ([method, params]) => {
      if (window.fake) return window.fake.call(method, params)
      const response = await fetch(`/api/call/${method}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(params),
      })
      return response.json()
    },
    [method, params],
  )

const row = (page, name) =>
  page.getByRole('listitem').filter({ has: page.getByRole('link', { name: new RegExp(`^${name} `) }) })

// Opens a page with its keyboard shortcut.
async function press(page, title) {
  const link = page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: new RegExp(`^${title}`) })
  await page.keyboard.press(await link.getAttribute('aria-keyshortcuts'))
}
export const gone = (locator) => locator.waitFor({ state: 'detached' })

async function running(page) {
  if ((await call(page, 'state')).service.state !== 'running') {
    await page.evaluate(() => (location.hash = '#/troubleshooting'))
    await page.getByRole('button', { name: 'Start the service', exact: true }).click()
  }
  await page.getByText('Service: running').waitFor()
}

async function create(page, name, start = true) {
  await page.getByRole('link', { name: /^Virtual machines/ }).click()
  await page.getByRole('button', { name: 'New virtual machine' }).click()
  const dialog = page.getByRole('dialog', { name: 'New virtual machine' })
  await dialog.getByLabel('Name', { exact: true }).fill(name)
  const box = dialog.getByLabel('Start the virtual machine after it is created')
  await box.setChecked(start)
  await dialog.getByRole('button', { name: 'Create' }).click()
  await gone(dialog)
}

// Starts a VM that hangs, and waits for the timeout question.
async function late(page) {
  await running(page)
  if (process.env.RDD_HOLD) execSync(process.env.RDD_HOLD)
  await call(page, 'settings.set', { vmTimeout: 1 })
  await page.evaluate(() => (location.hash = '#/machines'))
  if ((await call(page, 'state')).vms.find((vm) => vm.name === 'slow').running)
    await call(page, 'vm.stop', { name: 'slow' })
  await page.getByRole('button', { name: 'Start slow' }).click()
  const question = page.getByRole('alertdialog')
  await question.getByRole('button', { name: 'Keep waiting' }).waitFor()
  return question
}

const timeout = (run) => ({
  needs: ['RDD_HOLD', 'RDD_RELEASE'],
  run: async (o) => {
    const page = await o.open({ hash: '#/machines' })
    if (o.real && !(await call(page, 'state')).vms.some((vm) => vm.name === 'slow')) {
      await create(page, 'slow', false)
      await row(page, 'slow').getByText('Stopped').waitFor()
    }
    try {
      await run(page, await late(page), o)
    } finally {
      if (process.env.RDD_RELEASE) execSync(process.env.RDD_RELEASE)
    }
  },
})

export const scenarios = {
  'first run asks and starts nothing by itself': {
    run: async ({ open, real }) => {
      const page = await open({ scene: 'first' })
      if ((await call(page, 'state')).settings.firstRunDone) return 'not the first run of this instance'
      const dialog = page.getByRole('dialog', { name: 'Welcome to RDD' })
      await dialog.waitFor()
      const { service } = await call(page, 'state')
      assert.equal(service.state, 'not-created')
      if (real) await dialog.getByRole('button', { name: 'Not now' }).click()
      else {
        await dialog.getByLabel('Processors', { exact: true }).fill('6')
        await dialog.getByRole('button', { name: 'Start', exact: true }).click()
      }
      await gone(dialog)
      if (real) return void assert.equal((await call(page, 'state')).service.state, 'not-created')
      await page.getByRole('region', { name: 'Container engine' }).getByText('Running', { exact: true }).waitFor()
      const sent = await page.evaluate(() => window.fake.calls.filter((c) => c.method === 'app.set'))
      assert.deepEqual(sent.at(-1).params, { cpus: 6, start: true })
    },
  },
  'the container engine starts with progress, is canceled, and stops': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ scene: 'stopped', pace: 60_000, clock: true })
      const engine = page.getByRole('region', { name: 'Container engine' })
      await engine.getByRole('button', { name: 'Start' }).click()
      await engine.getByRole('progressbar').waitFor()
      assert.equal(await page.getByRole('dialog').count(), 0) // the progress is in the page
      await engine.getByText(/^Step 1 of 6/).waitFor()
      await engine.getByRole('button', { name: 'Cancel' }).click()
      await engine.getByText('Stopping', { exact: true }).waitFor()
      await page.clock.runFor(300_000)
      await engine.getByText('Stopped', { exact: true }).waitFor()
      await engine.getByRole('button', { name: 'Start' }).click()
      await page.clock.runFor(900_000)
      await engine.getByText('Running', { exact: true }).waitFor()
      await page.getByRole('region', { name: 'Resource usage' }).getByRole('img', { name: /^CPU/ }).waitFor()
      await engine.getByRole('button', { name: 'Stop' }).click()
      await engine.getByRole('button', { name: 'Force stop…' }).waitFor()
      await page.clock.runFor(300_000)
      await engine.getByRole('button', { name: 'Start' }).waitFor()
    },
  },
  'the settings of the container engine are checked and applied': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ hash: '#/settings/engine' })
      await page.getByRole('radio', { name: /containerd/ }).check()
      await page.getByText('stay where they are').waitFor()
      await page.getByRole('radio', { name: /Moby/ }).check()
      await gone(page.getByText('stay where they are'))
      await page.getByLabel('Memory', { exact: true }).fill('8')
      await page.getByText('The virtual machine is restarted to apply').waitFor()
      await page.getByRole('button', { name: 'Add folder' }).click()
      await page.keyboard.type('projects') // the new field has the focus
      await page.getByText('must be absolute').waitFor()
      await page.getByRole('button', { name: 'Apply and restart' }).click()
      await page.waitForFunction(() => document.activeElement?.getAttribute('aria-label') === 'Folder 2')
      assert.equal(await page.evaluate(() => window.fake.calls.filter((c) => c.method === 'app.set').length), 0)
      await page.getByLabel('Folder 2', { exact: true }).fill('/srv/projects')
      await page.getByRole('button', { name: 'Apply and restart' }).click()
      await gone(page.getByRole('heading', { name: 'Changes' }))
      const sent = await page.evaluate(() => window.fake.calls.filter((c) => c.method === 'app.set'))
      assert.deepEqual(sent[0].params, {
        memory: 8 * 1024 ** 3,
        mounts: [
          { path: '/home/ada', writable: true },
          { path: '/srv/projects', writable: false },
        ],
      })
    },
  },
  'images: with the keyboard alone, a pull is canceled, and a prune says what is gone': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ pace: 400 })
      await press(page, 'Images')
      const grid = page.getByRole('grid', { name: 'Images' })
      await page.getByRole('button', { name: 'Pull…' }).focus()
      await page.keyboard.press('Enter')
      await page.keyboard.type('busybox:1.37')
      await page.keyboard.press('Enter')
      const pull = page.getByRole('dialog', { name: 'Pull busybox:1.37' })
      await pull.getByRole('region', { name: 'Parts' }).waitFor()
      await pull.getByRole('button', { name: 'Cancel' }).focus()
      await page.keyboard.press('Enter')
      await gone(pull)
      await page.getByRole('button', { name: 'Pull busybox:1.37 canceled' }).waitFor()
      assert.equal(await grid.getByText('busybox:1.37').count(), 0, 'it was pulled in spite of that')

      await grid.getByRole('row').filter({ hasText: 'debian:trixie' }).focus()
      await page.keyboard.press('ArrowDown')
      await page.keyboard.press('Delete')
      await page.getByRole('alertdialog', { name: 'Delete image golang:1.26?' }).waitFor()
      await page.keyboard.press('Escape')
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'golang:1.26' }).waitFor()
      await page.goBack()

      await page.getByRole('checkbox', { name: 'Select golang:1.26' }).waitFor()
      await page.getByRole('button', { name: 'Prune…' }).focus()
      await page.keyboard.press('Enter')
      const prune = page.getByRole('alertdialog', { name: 'Prune' })
      await prune.getByRole('radio', { name: /that no container uses/ }).check()
      await prune.getByRole('button', { name: 'Prune' }).focus()
      await page.keyboard.press('Enter')
      const result = page.getByRole('dialog', { name: 'Prune images' })
      await result.getByText(/^3 deleted/).waitFor()
      await result.getByRole('button', { name: 'Close' }).focus()
      await page.keyboard.press('Enter')
      await gone(result)
      assert.equal(await grid.getByText('golang:1.26').count(), 0, 'it is still there')
    },
  },
  'ports: links, and what can be allowed': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ hash: '#/ports' })
      await page.getByRole('link', { name: /^127.0.0.1:3000/ }).waitFor()
      await page.evaluate(() => {
        const { app } = window.fake.state
        const port = {
          protocol: 'tcp',
          hostAddress: '192.168.1.10:80',
          guestAddress: '172.18.0.3:80',
          container: 'web',
        }
        const message = 'not opened to the network unless you allow it: rdd set ports.bindAddresses=192.168.1.10'
        window.fake.push({ app: { ...app, ports: [{ ...port, state: 'NotPermitted', message }] } })
      })
      await page.getByRole('button', { name: 'Copy the command rdd set ports.bindAddresses=192.168.1.10' }).waitFor()
      await page.getByRole('button', { name: 'Allow 192.168.1.10…' }).click()
      await page.getByRole('alertdialog').getByRole('button', { name: 'Allow' }).click()
      await page.waitForFunction(() => window.fake.calls.some((c) => c.method === 'app.set'))
      const sent = await page.evaluate(() => window.fake.calls.filter((c) => c.method === 'app.set'))
      assert.deepEqual(sent[0].params, { bindAddresses: ['192.168.1.10'] })
    },
  },
  'service starts, with progress, and stops': {
    run: async ({ open, real }) => {
      const page = await open({ scene: 'stopped', hash: '#/troubleshooting', pace: 60_000, clock: !real })
      if ((await call(page, 'state')).service.state === 'running') await call(page, 'service.stop')
      await page.getByText('Service: stopped').or(page.getByText('Service: not set up')).waitFor()
      await page.getByRole('button', { name: 'Start the service', exact: true }).click()
      if (!real) {
        await page.getByRole('progressbar').first().waitFor()
        await page.clock.runFor(600_000)
      }
      await page.getByText('Service: running').waitFor()
      await page.getByRole('button', { name: 'Show resource usage' }).click()
      await page.getByRole('img', { name: /^CPU/ }).waitFor()
      await page.getByRole('button', { name: 'Stop the service' }).click()
      if (!real) await page.clock.runFor(600_000)
      await page.getByText('Service: stopped').waitFor()
      await page.getByRole('button', { name: 'Start the service', exact: true }).waitFor()
    },
  },
  'create: errors are shown beside the field, and nothing is sent': {
    run: async ({ open }) => {
      const page = await open({ hash: '#/machines' })
      await running(page)
      await page.keyboard.press('Alt+n')
      const dialog = page.getByRole('dialog', { name: 'New virtual machine' })
      const name = dialog.getByLabel('Name', { exact: true })
      await name.fill('Not A Name')
      await dialog.locator('[id$=name-wrong]').waitFor()
      assert.equal(await name.getAttribute('aria-invalid'), 'true')
      const before = (await call(page, 'state')).vms.length
      await dialog.getByRole('button', { name: 'Create' }).click()
      await page.waitForFunction(() => document.activeElement?.getAttribute('aria-invalid') === 'true')
      assert.equal((await call(page, 'state')).vms.length, before)
      await page.keyboard.press('Escape')
      await gone(dialog)
    },
  },
  'create, start, progress in the background, stop, delete': {
    run: async ({ open, real }) => {
      const page = await open({ hash: '#/machines', pace: 60_000, clock: !real })
      await running(page)
      await create(page, 'e2e')
      if (!real) {
        const dialog = page.getByRole('dialog', { name: /Create and start virtual machine e2e/ })
        await dialog.getByRole('progressbar').waitFor()
        await dialog.getByText(/Step 1 of 5 · image/).waitFor()
        await dialog.getByRole('button', { name: 'Run in background' }).click()
        await gone(dialog)
        await page.getByRole('contentinfo').getByText('Step 1 of 5').waitFor()
        await page.clock.runFor(600_000)
      }
      await row(page, 'e2e').getByText('Running').waitFor()
      await row(page, 'e2e').getByRole('button', { name: 'Stop e2e' }).click()
      if (!real) await page.clock.runFor(300_000)
      await row(page, 'e2e').getByText('Stopped').waitFor()
      await page.getByRole('link', { name: /^e2e / }).click()
      await page.getByRole('button', { name: 'Delete…' }).click()
      await page.getByRole('alertdialog').getByRole('button', { name: 'Delete' }).click()
      if (!real) await page.clock.runFor(300_000)
      await page.getByRole('link', { name: /^e2e / }).waitFor({ state: 'detached' })
    },
  },
  'the progress of an operation does not take what is typed into another dialog': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ hash: '#/images', pace: 60_000, clock: true })
      await page.getByRole('button', { name: 'Load…' }).click()
      const dialog = page.getByRole('dialog')
      await dialog.getByLabel('Archive').fill('/tmp/one.tar')
      await dialog.getByRole('button', { name: 'Load' }).click()
      await gone(dialog)
      await page.getByRole('button', { name: 'Load…' }).click()
      await page.keyboard.type('/tmp/')
      await page.clock.runFor(1000) // the load takes long
      await page.keyboard.type('two.tar')
      assert.equal(await dialog.getByLabel('Archive').inputValue(), '/tmp/two.tar')
      await dialog.getByRole('button', { name: 'Cancel' }).click()
      await page.getByRole('dialog', { name: 'Load images from /tmp/one.tar' }).getByRole('progressbar').waitFor()
    },
  },
  'a canceled creation deletes or keeps the VM, as the user chooses': {
    needs: ['RDD_HOLD', 'RDD_RELEASE'],
    run: async ({ open }) => {
      const page = await open({ hash: '#/machines', pace: 1500 })
      await running(page)
      await call(page, 'settings.set', { vmTimeout: 300 })
      if (process.env.RDD_HOLD) execSync(process.env.RDD_HOLD)
      try {
        const cancel = async (choice) => {
          await create(page, 'canceled')
          const dialog = page.getByRole('dialog', { name: /^Create .*virtual machine canceled/ })
          await row(page, 'canceled').getByText('Starting').waitFor()
          await dialog.getByRole('button', { name: 'Cancel' }).click()
          await dialog.getByRole('button', { name: choice }).click()
          await gone(dialog)
        }
        await cancel('Delete')
        await page.getByRole('contentinfo').getByText('Delete virtual machine canceled').waitFor()
        await gone(row(page, 'canceled'))
        await cancel('Keep')
        await row(page, 'canceled').getByText('Stopped').waitFor()
        assert.equal(await page.getByText('running in the background').count(), 0)
        await call(page, 'vm.delete', { name: 'canceled' })
        await gone(row(page, 'canceled'))
      } finally {
        if (process.env.RDD_RELEASE) execSync(process.env.RDD_RELEASE)
      }
    },
  },
  'create: a template’s parameters are fields': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ hash: '#/machines' })
      await page.getByRole('button', { name: 'New virtual machine' }).click()
      const dialog = page.getByRole('dialog', { name: 'New virtual machine' })
      await dialog.getByLabel('Name', { exact: true }).fill('greeter')
      await dialog.getByLabel('Template', { exact: true }).selectOption('debian-13')
      await dialog.getByLabel('Greeting', { exact: true }).fill('good day')
      await dialog.getByRole('button', { name: 'Create' }).click()
      await gone(dialog)
      const sent = await page.evaluate(() => window.fake.calls.filter((c) => c.method === 'vm.create'))
      assert.deepEqual(sent[0].params.params, { Greeting: 'good day' })
    },
  },
  // The error of the empty name appeared when the name lost the focus, and moved the button away from the pointer.
  'create: a click with an empty name is not lost': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ hash: '#/machines' })
      await page.getByRole('button', { name: 'New virtual machine' }).click()
      await page.waitForFunction(() => window.fake.calls.some((c) => c.method === 'vm.check'))
      await page.getByRole('button', { name: 'Customize the template' }).click()
      await page.locator('.cm-content').waitFor()
    },
  },
  'timeout: keep waiting asks again later': timeout(async (page, question, { real }) => {
    const buttons = await question.getByRole('button').allTextContents()
    for (const b of ['Keep waiting', 'Stop waiting', 'Force stop'])
      assert.ok(
        buttons.some((t) => t.trim() === b),
        `${b} in ${buttons}`,
      )
    await question.getByRole('button', { name: 'Keep waiting' }).click()
    if (!real) await gone(question) // the next question of a real service may come at once
    if (real) await page.getByRole('alertdialog').getByRole('button', { name: 'Stop waiting' }).click()
  }),
  'timeout: stop waiting lets the operation continue': timeout(async (page, question) => {
    await question.getByRole('button', { name: 'Stop waiting' }).click()
    await gone(question)
    assert.equal((await call(page, 'state')).vms.find((vm) => vm.name === 'slow').running, true)
  }),
  'timeout: show log': timeout(async (page, question) => {
    await question.getByRole('button', { name: 'Show log' }).click()
    await question.getByRole('region', { name: 'Log: text' }).waitFor()
    await question.getByRole('button', { name: 'Stop waiting' }).click()
    await gone(question)
  }),
  'timeout: force stop': timeout(async (page, question) => {
    await question.getByRole('button', { name: 'Force stop' }).click()
    await gone(question)
    await row(page, 'slow').getByText('Stopped').waitFor()
  }),
  'timeout: the question closes when the VM runs': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ hash: '#/machines' })
      const question = await late(page)
      await page.evaluate(() =>
        window.fake.push({ operations: window.fake.state.operations.map((o) => ({ ...o, state: 'done' })) }),
      )
      await gone(question)
    },
  },
  'resources: a change is shown, disappears when reverted, and is applied': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ hash: '#/machines/database/resources' })
      const cpus = page.getByLabel('Processors', { exact: true })
      await cpus.fill('6')
      await page.getByRole('heading', { name: 'Changes' }).waitFor()
      await page.getByText('to apply these changes').waitFor()
      await cpus.fill('4')
      await gone(page.getByRole('heading', { name: 'Changes' }))
      await cpus.fill('99')
      await page.getByText('Processors must be between 1 and 8').waitFor()
      assert.equal(await page.getByRole('button', { name: 'Apply', exact: true }).isDisabled(), true)
      await cpus.fill('6')
      await page.getByRole('button', { name: 'Apply', exact: true }).click()
      await gone(page.getByRole('heading', { name: 'Changes' }))
      const sent = await page.evaluate(() => window.fake.calls.filter((c) => c.method === 'vm.setResources'))
      assert.equal(sent[0].params.resources.cpus, 6)
    },
  },
  'template editor, parameters, logs and shell': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ hash: '#/machines/web/template' })
      const editor = page.getByRole('textbox', { name: 'Template of web' })
      await page.locator('.cm-content').waitFor()
      await editor.click()
      await page.keyboard.press('Control+Home')
      await page.keyboard.type('# mine\n')
      await page.keyboard.press('Control+A')
      await page.keyboard.type('cpus: 2')
      await page.getByText('images: must name at least one image').waitFor()
      await page.getByRole('button', { name: 'Revert' }).click()
      await gone(page.getByText('images: must name at least one image'))
      await editor.click()
      await page.keyboard.press('Control+Home')
      await page.keyboard.type('# mine\n')
      await page.getByRole('button', { name: 'Save' }).click()
      await page.waitForFunction(() => window.fake.calls.some((c) => c.method === 'vm.setTemplate'))
      const tab = (name) => page.getByRole('tab', { name }).click()
      await tab('Parameters')
      await page.getByLabel('Greeting', { exact: true }).fill('good day')
      await page.getByRole('button', { name: 'Apply' }).click()
      await tab('Logs')
      const text = page.getByRole('region', { name: /text$/ })
      await text.getByText(/line 1 <script>alert\(1\)<\/script>/).waitFor() // no HTML
      await page.getByLabel('Find in the log').fill('earlier line 17')
      await page.getByText('1 of 11 lines').waitFor()
      await tab('Shell')
      await page.getByText('me@web').waitFor()
      await page.locator('.xterm-helper-textarea').waitFor({ state: 'attached' })
      await page.keyboard.type('ls')
      await page.waitForFunction(
        () =>
          window.fake.calls
            .filter((c) => c.method === 'stream.write')
            .map((c) => c.params.data)
            .join('') === 'ls',
      )
      await page.keyboard.press('F6')
      assert.equal(await page.evaluate(() => !!document.activeElement.closest('.xterm')), false)
    },
  },
  'every tab can be left for another page': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open()
      for (const tab of ['', 'resources', 'parameters', 'template', 'logs', 'shell']) {
        await page.evaluate((t) => (location.hash = `#/machines/web/${t}`), tab)
        await page.getByRole('heading', { name: 'web' }).waitFor()
        await page.evaluate(() => (location.hash = '#/diagnostics'))
        await page.getByRole('heading', { name: 'Diagnostics' }).waitFor()
      }
    },
  },
  'diagnostics: badge, repair, bundle': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open()
      await page.getByRole('link', { name: /Diagnostics 1 problem/ }).click()
      await page.getByRole('main').getByRole('button', { name: 'Clear leftovers' }).click()
      await gone(page.getByRole('main').getByRole('button', { name: 'Clear leftovers' }))
      await page.getByRole('button', { name: 'Create bundle' }).click()
      const dialog = page.getByRole('dialog', { name: 'Diagnostics bundle' })
      await dialog.getByRole('button', { name: /rddd.log/ }).click()
      await dialog.getByText(/token=\[redacted\]/).waitFor()
      await dialog.getByRole('button', { name: 'Save' }).click()
      await dialog.getByText(/Saved to/).waitFor()
    },
  },
  'a real VM: resources, template, log, shell and bundle': {
    realOnly: true,
    run: async ({ open, shots }) => {
      const page = await open({ hash: '#/machines' })
      await running(page)
      if ((await call(page, 'state')).vms.some((vm) => vm.name === 'real'))
        await call(page, 'vm.delete', { name: 'real' })
      await gone(row(page, 'real'))
      await create(page, 'real')
      await row(page, 'real').getByText('Running').waitFor()
      await page.evaluate(() => (location.hash = '#/machines/real'))
      await page.locator('.uplot canvas').first().waitFor()
      await page.screenshot({ path: `${shots}/real-summary.png` })
      const tab = (name) => page.getByRole('tab', { name }).click()
      await tab('Resources')
      const cpus = page.getByLabel('Processors', { exact: true })
      const other = (await cpus.inputValue()) === '1' ? '2' : '1'
      await cpus.fill(other)
      await page.getByText('to apply these changes').waitFor()
      await page.screenshot({ path: `${shots}/real-resources.png` })
      await page.getByRole('button', { name: 'Apply', exact: true }).click()
      await page.getByRole('heading', { name: 'Restart required' }).waitFor()
      await tab('Template')
      await page.locator('.cm-content').getByText(`cpus: ${other}`).waitFor()
      await page.screenshot({ path: `${shots}/real-template.png` })
      await tab('Logs')
      await page.getByRole('region', { name: /text$/ }).waitFor()
      await page.screenshot({ path: `${shots}/real-logs.png` })
      await tab('Shell')
      const shell = page.getByRole('region', { name: 'Shell in real' })
      await shell.locator('.xterm-rows').filter({ hasText: /[$#]/ }).waitFor() // the guest's prompt
      await page.keyboard.type('echo $((6*7))-$(uname -s)\n') // an echo of the input does not contain the answer
      await shell.getByText('42-Linux').waitFor()
      await page.screenshot({ path: `${shots}/real-shell.png` })
      await page.evaluate(() => (location.hash = '#/diagnostics'))
      await page.getByRole('button', { name: 'Create bundle' }).click()
      const dialog = page.getByRole('dialog', { name: 'Diagnostics bundle' })
      await dialog.getByRole('list', { name: 'Files' }).getByRole('button').nth(1).click()
      await page.screenshot({ path: `${shots}/real-bundle.png` })
      await dialog.getByRole('button', { name: 'Save' }).click()
      await dialog.getByText(/Saved to/).waitFor()
      await dialog.getByRole('button', { name: 'Close' }).click()
      await page.screenshot({ path: `${shots}/real-diagnostics.png` })
    },
  },
  'settings are saved': {
    run: async ({ open }) => {
      const page = await open({ hash: '#/settings' })
      await page.getByLabel('Dark').check()
      await page.waitForFunction(() => document.documentElement.style.colorScheme === 'dark')
      await page.getByLabel('Virtual machine timeout').selectOption('600')
      for (const late = Date.now() + 60_000; (await call(page, 'state')).settings.vmTimeout !== 600;)
        assert.ok(Date.now() < late, 'the timeout was not saved')
      await page.getByLabel('System').check()
      await page.waitForFunction(() => !document.documentElement.style.colorScheme)
    },
  },
  'troubleshooting: factory reset needs the name': {
    run: async ({ open, real }) => {
      const page = await open({ hash: '#/troubleshooting' })
      await page.getByRole('button', { name: 'Factory reset…' }).click()
      const dialog = page.getByRole('alertdialog')
      const act = dialog.getByRole('button', { name: 'Delete everything' })
      assert.equal(await act.isDisabled(), true)
      await dialog.getByRole('textbox').fill('defaul')
      assert.equal(await act.isDisabled(), true)
      if (real) return void (await page.keyboard.press('Escape'))
      await dialog.getByRole('textbox').fill('default')
      await act.click()
      await page.getByText('Service: not set up').waitFor()
    },
  },
  'another instance': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open()
      await page.getByLabel('Instance', { exact: true }).selectOption('experiments')
      await page.getByText('Service: stopped').waitFor()
      await page.getByLabel('Instance', { exact: true }).selectOption('default')
      await page.getByText('Service: running').waitFor()
    },
  },
  'a killed service is reported and can be started again': {
    run: async ({ open, real }) => {
      const page = await open()
      await running(page)
      if (real) process.kill((await call(page, 'state')).service.pid, 'SIGKILL')
      else await page.evaluate(() => window.fake.kill())
      const banner = page.getByRole('status').filter({ hasText: 'The service stopped unexpectedly' })
      await banner.waitFor()
      await banner.getByRole('button', { name: 'Start the service', exact: true }).click()
      await page.getByText('Service: running').waitFor()
      await gone(banner.getByText('The service stopped unexpectedly'))
    },
  },
  'a lost connection is reported until it is back': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open()
      await page.evaluate(() => window.fake.link('lost'))
      await page.getByText('Connection lost').waitFor()
      await page.evaluate(() => window.fake.link('up'))
      await gone(page.getByText('Connection lost'))
    },
  },
  'keyboard alone': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open()
      await page.getByText('Service: running').waitFor()
      const at = () =>
        page.evaluate(() =>
          (document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).trim(),
        )
      await page.keyboard.press('Tab')
      assert.equal(await at(), 'Skip to content')
      await page.keyboard.press('Enter')
      assert.equal(await page.evaluate(() => document.activeElement.id), 'main')
      await press(page, 'Virtual machines')
      await page.getByRole('heading', { name: 'Virtual machines' }).waitFor()
      await page.getByRole('link', { name: /^web / }).focus()
      await page.keyboard.press('ArrowDown')
      assert.match(await at(), /^database/)
      await page.keyboard.press('End')
      assert.match(await at(), /^old-debian/)
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'old-debian' }).waitFor()
      await page.getByRole('tab', { name: 'Summary' }).focus()
      await page.keyboard.press('ArrowRight')
      await page.getByRole('tab', { name: 'Resources', selected: true }).waitFor()
      await page.keyboard.press('Shift+?')
      await page.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor()
      await page.keyboard.press('Escape')
      await gone(page.getByRole('dialog'))
      assert.equal(await at(), 'Resources') // the focus is where it was
    },
  },
  'a pressed button keeps the focus': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ hash: '#/machines' })
      const focused = (name) =>
        page.waitForFunction((name) => {
          const at = document.activeElement
          return (at.getAttribute('aria-label') ?? at.textContent).trim() === name
        }, name)
      await page.getByRole('button', { name: 'Stop web' }).focus()
      await page.keyboard.press('Enter')
      await row(page, 'web').getByText('Stopped').waitFor()
      await focused('Start web')
      await press(page, 'Diagnostics')
      await page.getByRole('button', { name: 'Check again' }).focus()
      await page.keyboard.press('Enter')
      await focused('Check again')
      await press(page, 'Overview')
      const engine = page.getByRole('region', { name: 'Container engine' })
      await engine.getByRole('button', { name: 'Stop' }).focus()
      await page.keyboard.press('Enter')
      await engine.getByText('Stopped', { exact: true }).waitFor()
      await focused('Start')
      await press(page, 'Troubleshooting')
      await page.getByRole('button', { name: 'Stop the service' }).focus()
      await page.keyboard.press('Enter')
      await page.getByText('Service: stopped').waitFor()
      await focused('Start the service')
    },
  },
  '500 virtual machines scroll': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ scene: 'many', hash: '#/machines' })
      const list = page.getByRole('list', { name: 'Virtual machines' })
      await list.getByRole('listitem').first().waitFor()
      const longest = await page.evaluate(async () => {
        await new Promise(requestIdleCallback) // wait for the work of the start, which scrolling did not cause
        let longest = 0
        const note = (tasks) => (longest = Math.max(longest, ...tasks.map((t) => Math.round(t.duration))))
        const tasks = new PerformanceObserver((l) => note(l.getEntries()))
        tasks.observe({ type: 'longtask' }) // tasks of at least 50 ms
        const box = document.querySelector('ul[aria-label="Virtual machines"]').parentElement
        for (let y = 0; y < box.scrollHeight; y += 400) {
          box.scrollTop = y
          await new Promise(requestAnimationFrame)
        }
        await new Promise(requestAnimationFrame)
        await new Promise((resolve) => setTimeout(resolve))
        note(tasks.takeRecords())
        return longest
      })
      const rows = await list.getByRole('listitem').count()
      assert.ok(rows < 60, `${rows} rows are rendered`)
      await page.getByRole('link', { name: /^machine-499 / }).waitFor()
      return `${rows} rows rendered, longest task ${longest} ms`
    },
  },
  'charts show a line': {
    run: async ({ open }) => {
      const page = await open({ hash: '#/troubleshooting' })
      await running(page)
      await page.evaluate(() => (location.hash = '#/troubleshooting'))
      await page.getByRole('button', { name: 'Show resource usage' }).click()
      await page.locator('.uplot canvas').first().waitFor()
      // Counts the pixels in the colour of the line. The grid and the scale have other colours.
      await page.waitForFunction(() => {
        const canvas = document.querySelectorAll('.uplot canvas')[1] // the chart of the memory, which is never 0
        const chart = document.querySelector('.uplot').parentElement
        chart.style.color = 'var(--color-link)'
        const [r, g, b] = getComputedStyle(chart).color.match(/\d+/g).map(Number)
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
        let n = 0
        for (let i = 0; i < data.length; i += 4)
          if (data[i + 3] > 200 && Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 30)
            n++
        return n > 3
      })
    },
  },
  'a language that Intl rejects': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ language: 'C' })
      await page.locator('.uplot').first().waitFor() // uPlot asks the navigator itself
    },
  },
  'the tray asks before it quits': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ hash: '#ask=quit' })
      await page.getByRole('alertdialog').getByRole('button', { name: 'Keep running' }).click()
      await gone(page.getByRole('alertdialog'))
      assert.equal((await call(page, 'state')).settings.onQuit, 'keep-running')
    },
  },
  'containers: 1,000 are shown and filtered while one types': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ scene: 'many', hash: '#/settings' })
      // From what happens to the frame in which it is drawn, in ms; the median of some.
      const measure = (what) =>
        page.evaluate(async (what) => {
          const drawn = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))
          const times = []
          for (let i = 0; i < 7; i++) {
            const box = document.querySelector('main input[type=search]')
            const text = ['billing', 'db', 'queue-web', '', 'auth-api-0', 'worker', ''][i]
            if (what === 'show') location.hash = '#/settings'
            await drawn()
            await drawn()
            const begin = performance.now()
            if (what === 'show') location.hash = '#/containers'
            else {
              box.value = text
              box.dispatchEvent(new InputEvent('input', { bubbles: true }))
            }
            if (what === 'show') while (!document.querySelector('[role=row][data-id]')) await drawn()
            await drawn()
            times.push(performance.now() - begin)
          }
          return times.sort((a, b) => a - b)
        }, what)
      const show = await measure('show')
      await page.getByRole('searchbox', { name: 'Search containers' }).waitFor()
      const filter = await measure('filter')
      await page.getByRole('searchbox', { name: 'Search containers' }).fill('billing-db')
      await page.getByText('20 of 1,000 containers').waitFor()
      const said = [show, filter].map((t) => `${Math.round(t[3])} ms (worst ${Math.round(t[6])} ms)`)
      // A busy machine is allowed more than the 200 ms that are the goal.
      assert.ok(show[3] < 1000 && filter[3] < 500, `shown in ${said[0]}, filtered in ${said[1]}`)
      return `shown in ${said[0]}, filtered in ${said[1]}`
    },
  },
  'containers: 10,000 log lines a second do not freeze the page': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ hash: '#/containers/shop-api-1' })
      await page.getByText('GET /api').first().waitFor()
      // For three seconds, 500 lines each 50 ms; how late timers are is how long the page does not answer.
      const { late, sent } = await page.evaluate(async () => {
        const begin = performance.now()
        let [sent, late, last] = [0, 0, begin]
        while (performance.now() - begin < 3000) {
          await new Promise((done) => setTimeout(done, 50))
          const now = performance.now()
          late = Math.max(late, now - last - 50)
          const due = Math.floor(((now - begin) / 1000) * 10_000)
          let text = ''
          for (; sent < due; sent++) text += `2026-11-30T10:00:00Z INFO request ${sent} took 12 ms\n`
          window.fake.say(text)
          last = performance.now()
        }
        return { late, sent }
      })
      await page.getByText(`request ${sent - 1} took`).waitFor() // the newest line is in sight
      assert.ok(sent >= 29_000, `${sent} lines were sent`)
      assert.ok(late < 1000, `the page did not answer for ${Math.round(late)} ms`)
      return `${sent} lines in 3 s, the page answered within ${Math.round(late)} ms`
    },
  },
  'containers: from the list to a shell, with the keyboard alone': {
    fakeOnly: true,
    run: async ({ open }) => {
      const page = await open({ hash: '#/containers' })
      await page.getByRole('treegrid', { name: 'Containers' }).waitFor()
      await page.keyboard.press('/')
      await page.keyboard.type('registry')
      await page.getByText('1 of 12 containers').waitFor()
      const row = page.locator('[role=row][data-id]')
      for (let i = 0; i < 12 && !(await row.evaluate((r) => r === document.activeElement)); i++)
        await page.keyboard.press('Tab')
      await page.keyboard.press('Space')
      await page.getByText('1 selected').waitFor()
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { name: 'registry' }).waitFor()
      await page.getByRole('tab', { name: 'Logs' }).focus()
      await page.keyboard.press('ArrowRight')
      await page.keyboard.press('ArrowRight')
      await page.getByText('root@').first().waitFor()
    },
  },
}
