import { expect, test } from 'vitest'
import type { ContainerPort } from '../lib/api'
import { container } from '../testing/fakeEngine'
import { stateLabel, stateTone, summary } from './labels'
import { search } from './match'
import { published } from './ports'

test.each([
  [{ state: 'running' }, 'Running', 'ok'],
  [{ state: 'running', health: 'starting' }, 'Starting', 'busy'],
  [{ state: 'running', health: 'unhealthy' }, 'Unhealthy', 'problem'],
  [{ state: 'exited', exitCode: 0 }, 'Stopped', 'idle'],
  [{ state: 'exited', exitCode: 137 }, 'Stopped', 'idle'],
  [{ state: 'exited', exitCode: 1 }, 'Exited (1)', 'problem'],
  [{ state: 'paused', health: 'healthy' }, 'Paused', 'warning'],
  [{ state: 'removing' }, 'Deleting', 'busy'],
] as const)('the state %j is shown as %s', (state, label, tone) => {
  expect(stateLabel(state)).toBe(label)
  expect(stateTone(state)).toBe(tone)
})

test('states are counted in words', () => {
  const states = ['running', 'exited', 'paused', 'created', 'running'] as const
  expect(summary(states.map((state) => ({ state })))).toBe('2 running, 1 paused, 2 stopped')
})

test('a search takes each word from the name, the image, the ID or a label', () => {
  const all = [
    container('shop-web-1', 'nginx:1.29', { project: 'shop', service: 'web' }),
    container('db', 'postgres:17', { labels: { tier: 'Data' } }),
  ]
  const found = (wanted: string) => search(all, wanted).map((c) => c.name)
  expect(found('  ')).toEqual(['shop-web-1', 'db'])
  expect(found('NGINX shop')).toEqual(['shop-web-1'])
  expect(found('nginx postgres')).toEqual([])
  expect(found('tier=data')).toEqual(['db'])
  expect(found(all[1]!.id.slice(0, 12))).toEqual(['db'])
  all[1] = { ...all[1]!, name: 'store' }
  expect(found('store')).toEqual(['store'])
})

test('published ports are shown once, and link to what a browser can open', () => {
  const port = (more: Partial<ContainerPort>): ContainerPort => ({ protocol: 'tcp', containerPort: 80, ...more })
  expect(
    published([
      port({ hostPort: 8080, hostIP: '0.0.0.0' }),
      port({ hostPort: 8080, hostIP: '::' }),
      port({ hostPort: 9443, containerPort: 443 }),
      port({ hostPort: 53, containerPort: 53, protocol: 'udp' }),
      port({ hostPort: 81, hostIP: '192.168.1.4' }),
      port({}),
    ]),
  ).toEqual([
    { text: '8080:80', href: 'http://localhost:8080' },
    { text: '9443:443', href: 'https://localhost:9443' },
    { text: '53:53/udp' },
    { text: '192.168.1.4:81:80', href: 'http://192.168.1.4:81' },
  ])
})
