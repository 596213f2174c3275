// The pages of the container engine, over a real one. RDD_BOX is a tar file with the program of the engine's tests as /box, for
// docker import.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'

export const engineScenarios = (call, gone) => ({
  'a real engine: containers, logs, files, images, volumes, networks and ports': {
    realOnly: true,
    needs: ['RDD_BOX'],
    run: async ({ open, shots }) => {
      const page = await open({ hash: '#/overview' })
      const engine = page.getByRole('region', { name: 'Container engine' })
      const start = engine.getByRole('button', { name: 'Start', exact: true })
      await engine.getByRole('button', { name: 'Stop', exact: true }).or(start).waitFor()
      if (await start.isVisible()) await start.click()
      await engine.getByText('Running', { exact: true }).waitFor()
      const { app } = await call(page, 'state')
      const docker = (...args) =>
        execFileSync('docker', args, {
          env: { ...process.env, DOCKER_HOST: `unix://${app.engine.socket}` },
          encoding: 'utf8',
        })
      const show = (hash) => page.evaluate((h) => (location.hash = h), hash)
      const shot = (name) => page.screenshot({ path: `${shots}/engine-${name}.png` })

      docker('import', '--change', 'ENTRYPOINT ["/box"]', process.env.RDD_BOX, 'box')
      docker('network', 'create', 'inside')
      docker(
        'run',
        '-d',
        '--name',
        'web',
        '--network',
        'inside',
        '-v',
        'kept:/kept',
        '-p',
        '127.0.0.1::7',
        'box',
        'echo',
      )
      docker('run', '--name', 'said', '-v', 'kept:/kept', 'box', 'write', '/kept/note', 'hello')
      docker('run', '--name', 'logged', 'box', 'log')
      const port = docker('port', 'web', '7').trim().split(':').at(-1)
      await shot('overview')

      await show('#/containers')
      const row = (name) => page.getByRole('row').filter({ has: page.getByText(name, { exact: true }) })
      await row('web').getByText('Running').waitFor()
      await row('web').getByText(`${port}:7`).waitFor()
      await row('logged').getByText('Stopped').waitFor()
      await shot('containers')
      await row('logged').getByRole('link', { name: 'logged' }).click()
      await page.getByText('out 3').first().waitFor()
      await page.getByText('err 3').first().waitFor()
      await shot('logs')
      const id = docker('inspect', '--format', '{{.Id}}', 'web').trim()
      await show(`#/containers/${id}/files`)
      await page.getByText('kept', { exact: true }).first().waitFor()
      await shot('files')
      await show(`#/containers/${id}/inspect`)
      await page.getByText(id).first().waitFor()
      await show('#/ports')
      await page.getByText(`:${port}`).first().waitFor()
      await shot('ports')

      await show('#/images')
      await row('box:latest').waitFor()
      await shot('images')
      await show('#/networks')
      await row('inside').waitFor()
      await show('#/volumes/kept')
      await page.getByText('note', { exact: true }).first().waitFor()
      await shot('volume')

      await show('#/containers')
      await row('web').getByRole('button', { name: /^Stop/ }).click()
      await row('web')
        .getByText(/^Exited/)
        .waitFor()
      assert.equal(docker('inspect', '--format', '{{.State.Running}}', 'web').trim(), 'false')
      docker('rm', 'web', 'said', 'logged')
      await gone(row('web'))
      docker('volume', 'rm', 'kept')
      docker('network', 'rm', 'inside')

      await show('#/overview')
      await engine.getByRole('button', { name: 'Stop', exact: true }).click()
      await engine.getByText('Stopped', { exact: true }).waitFor()
      await shot('stopped')
    },
  },
})
