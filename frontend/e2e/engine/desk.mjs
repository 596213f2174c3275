// What the scenarios of a real engine share. The browser changes something and docker is asked, or docker changes something
// and the browser shows it.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { inTheme, violations } from '../looks.mjs'
import { call } from '../scenarios.mjs'

export async function desk(page, shots) {
  const { app } = await call(page, 'state')
  const docker = (...args) =>
    execFileSync('docker', args, {
      env: { ...process.env, DOCKER_HOST: `unix://${app?.engine?.socket}` },
      encoding: 'utf8',
      stdio: 'pipe',
      timeout: 120_000,
    }).trim()
  const names = (...args) => docker(...args, '--format', '{{.Name}}').split('\n')
  const show = (hash) => page.evaluate((h) => (location.hash = h), hash)
  const shot = (name) => page.screenshot({ path: `${shots}/engine-${name}.png` })
  const row = (name) => page.getByRole('row').filter({ has: page.getByText(name, { exact: true }) })
  const button = (name) => page.getByRole('button', { name, exact: typeof name === 'string' })

  // Fills in the dialog, and presses the button.
  async function dialog(title, fields, action) {
    const d = page.getByRole('dialog', { name: title })
    for (const [label, value] of Object.entries(fields)) await d.getByLabel(label, { exact: true }).fill(value)
    await d.getByRole('button', { name: action, exact: true }).click()
  }
  // Answers the question, and checks the boxes in it first.
  async function confirm(title, action, ...boxes) {
    const d = page.getByRole('alertdialog', { name: title })
    for (const label of boxes) await d.getByLabel(label).check()
    await d.getByRole('button', { name: action, exact: true }).click()
  }
  // Reads what an operation did, in the dialog after it, and closes that.
  async function result(title, text) {
    const d = page.getByRole('dialog', { name: title }).or(page.getByRole('alertdialog', { name: title }))
    await d.getByText(text).first().waitFor()
    await d.getByRole('button', { name: 'Close' }).click()
    await d.waitFor({ state: 'detached' })
  }
  // Waits for the status bar to say that an operation without a result has ended.
  async function done(title) {
    const ended = page
      .getByRole('contentinfo')
      .getByRole('listitem')
      .filter({ hasText: new RegExp(`${title}.*done`, 's') })
    await ended.waitFor()
  }
  // Waits for the browser to complain that the service has refused the last call, as it should, and forgets that.
  async function refused() {
    const complaint = (text) => text.includes('status of 400')
    if (!page.said.some(complaint)) await page.waitForEvent('console', (m) => complaint(m.text()))
    page.said = page.said.filter((text) => !complaint(text))
  }
  async function select(...all) {
    for (const name of all) await page.getByRole('checkbox', { name: `Select ${name}`, exact: true }).check()
  }
  // Takes a picture of the page, and fails if axe finds something wrong with it, light or dark.
  async function look(name) {
    await shot(name)
    for (const theme of ['light', 'dark']) {
      await inTheme(page, theme)
      const wrong = await violations(page)
      assert.deepEqual(wrong, [], `${name}, ${theme}:\n${wrong.join('\n')}`)
    }
    await page.emulateMedia({ colorScheme: null })
  }
  return { page, shots, docker, names, show, shot, row, button, dialog, confirm, result, done, refused, select, look }
}
