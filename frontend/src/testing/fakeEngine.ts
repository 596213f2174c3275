// The container engine of the fake: what a developer has after a week with three compose projects.
import type {
  App,
  AppForm,
  AppValues,
  Container,
  EngineEvent,
  File,
  Files,
  Image,
  Network,
  Problem,
  Volume,
} from '../lib/api'

const GiB = 1024 ** 3
const MiB = 1024 ** 2

// ids are stable, so that a test can name a container of a scene.
export function id(of: string): string {
  let hash = 0x811c9dc5
  let hex = ''
  for (let i = 0; hex.length < 64; i++) {
    for (const c of `${of}#${i}`) hash = Math.imul(hash ^ c.charCodeAt(0), 0x01000193) >>> 0
    hex += hash.toString(16).padStart(8, '0')
  }
  return hex.slice(0, 64)
}

const ago = (hours: number) => new Date(Date.now() - hours * 3600_000).toISOString()

export function container(name: string, image: string, more: Partial<Container> = {}): Container {
  const state = more.state ?? 'running'
  const runs = state === 'running' || state === 'paused'
  return {
    object: id(name),
    name,
    id: id(name),
    namespace: 'moby',
    image,
    imageID: `sha256:${id(image)}`,
    command: '/docker-entrypoint.sh',
    state,
    created: ago(30),
    ...(state !== 'created' && { startedAt: ago(2.4) }),
    ...(!runs && state !== 'created' && { finishedAt: ago(1.1), exitCode: 0 }),
    networks: [more.project ? `${more.project}_default` : 'bridge'],
    ...(more.project && {
      labels: {
        'com.docker.compose.project': more.project,
        'com.docker.compose.service': more.service ?? '',
        'com.docker.compose.project.working_dir': `/home/ada/src/${more.project}`,
      },
    }),
    ...more,
  }
}

const tcp = (containerPort: number, hostPort?: number) => ({
  protocol: 'tcp',
  containerPort,
  ...(hostPort && { hostPort }),
})

const usual = (): Container[] => [
  container('shop-web-1', 'shop-web:dev', {
    project: 'shop',
    service: 'web',
    command: 'npm run dev',
    health: 'healthy',
    ports: [tcp(3000, 3000)],
    mounts: [{ type: 'bind', source: '/home/ada/src/shop', destination: '/app' }],
  }),
  container('shop-api-1', 'shop-api:dev', {
    project: 'shop',
    service: 'api',
    command: 'air -c .air.toml',
    health: 'unhealthy',
    ports: [tcp(8080, 8080), tcp(9229, 9229)],
    mounts: [{ type: 'bind', source: '/home/ada/src/shop/api', destination: '/src' }],
  }),
  container('shop-db-1', 'postgres:17', {
    project: 'shop',
    service: 'db',
    command: 'docker-entrypoint.sh postgres',
    health: 'healthy',
    ports: [tcp(5432, 5432)],
    mounts: [{ type: 'volume', name: 'shop_data', destination: '/var/lib/postgresql/data' }],
  }),
  container('shop-cache-1', 'redis:8-alpine', {
    project: 'shop',
    service: 'cache',
    command: 'docker-entrypoint.sh redis-server',
    ports: [tcp(6379)],
  }),
  container('shop-migrate-1', 'shop-api:dev', {
    project: 'shop',
    service: 'migrate',
    state: 'exited',
    command: './migrate up',
  }),
  container('blog-wordpress-1', 'wordpress:6-php8.3', {
    project: 'blog',
    service: 'wordpress',
    state: 'exited',
    exitCode: 137,
    ports: [tcp(80, 8081)],
    mounts: [{ type: 'volume', name: 'blog_html', destination: '/var/www/html' }],
  }),
  container('blog-db-1', 'mariadb:11', {
    project: 'blog',
    service: 'db',
    state: 'exited',
    mounts: [{ type: 'volume', name: 'blog_db', destination: '/var/lib/mysql' }],
  }),
  container('metrics-prometheus-1', 'prom/prometheus:v3.7.0', {
    project: 'metrics',
    service: 'prometheus',
    command: '/bin/prometheus --config.file=/etc/prometheus/prometheus.yml',
    ports: [tcp(9090, 9090)],
    mounts: [{ type: 'volume', name: 'metrics_prometheus', destination: '/prometheus' }],
  }),
  container('metrics-grafana-1', 'grafana/grafana:12.2.0', {
    project: 'metrics',
    service: 'grafana',
    command: '/run.sh',
    state: 'paused',
    ports: [tcp(3000, 3001)],
    mounts: [{ type: 'volume', name: 'metrics_grafana', destination: '/var/lib/grafana' }],
  }),
  container('registry', 'registry:3', { ports: [tcp(5000, 5000)], command: '/entrypoint.sh /etc/registry.yml' }),
  container('scratchpad', 'debian:trixie', { state: 'created', command: 'bash' }),
  container('brave_hopper', 'hello-world:latest', { state: 'exited', command: '/hello' }),
]

const projects = ['shop', 'blog', 'metrics', 'search', 'billing', 'mail', 'media', 'auth', 'queue', 'docs']
const many = (): Container[] =>
  Array.from({ length: 1000 }, (_, i) => {
    const project = projects[i % projects.length]!
    const service = ['web', 'api', 'worker', 'db', 'cache'][Math.floor(i / projects.length) % 5]!
    return container(`${project}-${service}-${String(i).padStart(4, '0')}`, `${project}-${service}:dev`, {
      project,
      service,
      state: i % 3 ? 'running' : 'exited',
      ports: i % 4 ? [] : [tcp(8080, 20000 + i)],
    })
  })

function image(repoTag: string, size: number, hours: number, containers: readonly Container[]): Image {
  const users = containers.filter((c) => c.image === repoTag).map((c) => c.name)
  return {
    object: `img-${id(`image ${repoTag}`).slice(0, 16)}`,
    id: `sha256:${id(repoTag)}`,
    namespace: 'moby',
    ...(!repoTag.startsWith('<none>') && { repoTag }),
    ...(!/:dev$|^<none>/.test(repoTag) && {
      repoDigests: [`${repoTag.split(':')[0]}@sha256:${id(`digest ${repoTag}`)}`],
    }),
    created: ago(hours),
    size,
    ...(users.length && { containers: users }),
  }
}

const imagesOf = (containers: readonly Container[]): Image[] => [
  image('shop-web:dev', 412 * MiB, 3, containers),
  image('shop-api:dev', 688 * MiB, 3, containers),
  image('postgres:17', 438 * MiB, 24 * 12, containers),
  image('redis:8-alpine', 61 * MiB, 24 * 20, containers),
  image('wordpress:6-php8.3', 714 * MiB, 24 * 33, containers),
  image('mariadb:11', 411 * MiB, 24 * 40, containers),
  image('prom/prometheus:v3.7.0', 318 * MiB, 24 * 9, containers),
  image('grafana/grafana:12.2.0', 729 * MiB, 24 * 15, containers),
  image('registry:3', 57 * MiB, 24 * 60, containers),
  image('debian:trixie', 117 * MiB, 24 * 8, containers),
  image('hello-world:latest', 10_072, 24 * 200, containers),
  image('golang:1.26', 912 * MiB, 24 * 4, containers),
  image('<none> 1', 655 * MiB, 26, containers),
  image('<none> 2', 402 * MiB, 49, containers),
]

function volume(name: string, containers: readonly Container[], hours = 300): Volume {
  const users = containers.filter((c) => c.mounts?.some((m) => m.name === name)).map((c) => c.name)
  const project = name.includes('_') ? name.split('_')[0]! : ''
  return {
    object: name,
    name,
    driver: 'local',
    mountpoint: `/var/lib/docker/volumes/${name}/_data`,
    scope: 'local',
    created: ago(hours),
    ...(project && { labels: { 'com.docker.compose.project': project } }),
    ...(users.length && { containers: users }),
  }
}

const volumesOf = (containers: readonly Container[]): Volume[] =>
  ['shop_data', 'blog_html', 'blog_db', 'metrics_prometheus', 'metrics_grafana', 'go-build-cache', id('anonymous')].map(
    (name) => volume(name, containers),
  )

function network(name: string, subnet: string, containers: readonly Container[], driver = 'bridge'): Network {
  const users = containers.filter((c) => c.networks?.includes(name) && c.state === 'running').map((c) => c.name)
  return {
    object: id(`network ${name}`),
    id: id(`network ${name}`),
    name,
    driver,
    scope: 'local',
    ...(subnet && { subnets: [subnet] }),
    created: ago(300),
    ...(users.length && { containers: users }),
  }
}

const networksOf = (containers: readonly Container[]): Network[] => [
  network('bridge', '172.17.0.0/16', containers),
  network('host', '', containers, 'host'),
  network('none', '', containers, 'null'),
  network('shop_default', '172.18.0.0/16', containers),
  network('blog_default', '172.19.0.0/16', containers),
  network('metrics_default', '172.20.0.0/16', containers),
]

const defaults: AppValues = {
  engine: 'moby',
  cpus: 4,
  memory: 4 * GiB,
  disk: 100 * GiB,
  dockerContext: 'Auto',
  mounts: [{ path: '/home/ada', writable: true }],
  bindAddresses: [],
}

export function app(state: App['state'], more: Partial<App> = {}): App {
  const answers = state === 'running'
  return {
    state,
    running: state === 'running' || state === 'starting',
    problems: [],
    vm: 'rd',
    engine: {
      name: 'moby',
      ...(answers && { version: '26.1.5', socket: '/home/ada/.rdd/default/docker.sock' }),
      contextName: 'rdd',
      contextExists: true,
      contextCurrent: true,
    },
    disk: {
      ...(answers && { used: 31 * GiB, capacity: 98 * GiB }),
      allocated: 36 * GiB,
      maximum: 100 * GiB,
      percent: answers ? 31 : 36,
    },
    ports: [],
    counts: { running: 0, total: 0 },
    settings: defaults,
    ...more,
  }
}

export const containerdApp = (state: App['state'], more: Partial<App> = {}) =>
  app(state, {
    engine: {
      name: 'containerd',
      ...(state === 'running' && { version: '1.7.24', socket: '/home/ada/.rdd/default/containerd.sock' }),
      contextName: 'rdd',
      contextExists: true,
      contextCurrent: false,
    },
    settings: { ...defaults, engine: 'containerd' },
    ...more,
  })

const entry = (name: string, type: string, more: Partial<File> = {}): File => ({
  name,
  type,
  size: type === 'folder' ? 4096 : 0,
  mode: type === 'folder' ? '0755' : '0644',
  owner: 0,
  group: 0,
  modified: ago(40),
  ...more,
})
const folder = (name: string) => entry(name, 'folder')
const file = (name: string, size: number) => entry(name, 'file', { size })
const link = (name: string, target: string) => entry(name, 'link', { target, mode: '0777' })

const root: Record<string, File[]> = {
  '/': [
    link('bin', 'usr/bin'),
    folder('app'),
    ...['dev', 'etc', 'home', 'proc', 'sys', 'tmp', 'usr', 'var'].map(folder),
  ],
  '/app': [folder('node_modules'), folder('src'), file('package.json', 1843), file('README.md', 4210)],
  '/app/src': [file('index.ts', 911), file('server.ts', 14_207)],
  '/etc': [file('hostname', 13), file('hosts', 174), entry('shadow', 'file', { size: 501, mode: '0640', group: 42 })],
}
const volumeRoot: Record<string, File[]> = {
  '/': [
    folder('base'),
    folder('global'),
    file('PG_VERSION', 3),
    file('postgresql.conf', 30_124),
    entry('.s.PGSQL.5432', 'other'),
  ],
  '/base': [file('1', 7_340_032), file('5', 7_602_176)],
  '/global': [],
}

// list returns a folder of a container or a volume, or why it can't.
export function list(path: string, of: 'container' | 'volume'): Files | Problem {
  const at = `/${path.split('/').filter(Boolean).join('/')}`
  const files = (of === 'container' ? root : volumeRoot)[at]
  const parent = at.slice(0, at.lastIndexOf('/')) || '/'
  const self = (of === 'container' ? root : volumeRoot)[parent]?.find((f) => at.endsWith(`/${f.name}`))
  if (files) return { path: at, files }
  if (self?.type === 'folder') return { path: at, files: [] }
  if (self) return { kind: 'other', message: `${at} can't be shown: it is no folder.` }
  return { kind: 'not-found', message: `There is no ${at} in the ${of}.` }
}

type Kind = 'containers' | 'images' | 'volumes' | 'networks'

export class FakeEngine {
  containers: Container[] = []
  images: Image[] = []
  volumes: Volume[] = []
  networks: Network[] = []
  values = { ...defaults }

  constructor(private emit: (event: EngineEvent) => void) {}

  // fill makes the engine have its objects, as after a start.
  fill(scene: string) {
    this.containers = scene === 'many' ? many() : usual()
    this.images = imagesOf(this.containers)
    if (scene === 'containerd') {
      // Its objects have the namespace in their name, and two namespaces may have the same.
      const of = <T extends { object: string }>(o: T, namespace: string) => ({
        ...o,
        namespace,
        object: `${namespace}:${o.object}`,
      })
      this.containers = this.containers.map((c) => of(c, 'default'))
      const twin = this.containers.find((c) => c.name === 'registry')!
      this.containers.push({ ...twin, namespace: 'k8s.io', object: `k8s.io:${twin.id}` })
      this.images = this.images.map((i) => ({ ...i, namespace: 'default' }))
      this.values.engine = 'containerd'
      this.volumes = this.networks = []
      return
    }
    this.volumes = volumesOf(this.containers)
    this.networks = networksOf(this.containers)
  }

  clear() {
    this.containers = []
    this.images = []
    this.volumes = []
    this.networks = []
  }

  all(state: Pick<EngineEvent, 'known' | 'reason' | 'problem'>): EngineEvent {
    const { containers, images, volumes, networks } = this
    return { ...state, reset: true, containers, images, volumes, networks }
  }

  // change replaces objects, adds new ones, and tells the page.
  change(changed: Partial<Pick<FakeEngine, Kind>>, removed: EngineEvent['removed'] = {}) {
    for (const kind of ['containers', 'images', 'volumes', 'networks'] as const) {
      const gone = removed[kind] ?? []
      const now = new Map((this[kind] as { object: string }[]).map((o) => [o.object, o]))
      for (const object of gone) now.delete(object)
      for (const o of changed[kind] ?? []) now.set(o.object, o)
      ;(this[kind] as { object: string }[]) = [...now.values()]
    }
    this.emit(structuredClone({ known: true, ...changed, removed }))
  }

  // find takes an ID, its beginning, or a name, as the Go side does.
  find(name: string): Container | undefined {
    return this.containers.find(
      (c) => c.object === name || c.id === name || c.name === name || (name.length > 3 && c.id.startsWith(name)),
    )
  }

  counts() {
    return { running: this.containers.filter((c) => c.state === 'running').length, total: this.containers.length }
  }

  ports(): App['ports'] {
    return this.containers
      .filter((c) => c.state === 'running' || c.state === 'paused')
      .flatMap((c) =>
        (c.ports ?? [])
          .filter((p) => p.hostPort)
          .flatMap((p) =>
            ['127.0.0.1', '[::1]'].map((host) => ({
              protocol: p.protocol,
              hostAddress: `${host}:${p.hostPort}`,
              guestAddress: `0.0.0.0:${p.hostPort}`,
              container: c.name,
              ...(p.hostPort === 5000
                ? { state: 'Busy' as const, message: 'another program has it: ControlCenter (process 612)' }
                : { state: 'Forwarded' as const }),
            })),
          ),
      )
  }

  form(exists: boolean): AppForm {
    const own = (Object.keys(defaults) as (keyof AppValues)[]).filter(
      (key) => JSON.stringify(this.values[key]) !== JSON.stringify(defaults[key]),
    )
    return {
      values: this.values,
      defaults,
      own,
      least: { cpus: 1, memory: GiB, disk: exists ? this.values.disk : 4 * GiB },
      most: { cpus: 8, memory: 16 * GiB, disk: 200 * GiB },
    }
  }

  // set takes a change of the settings, in which null is the default.
  set(change: Partial<Record<keyof AppValues, unknown>>) {
    for (const key of Object.keys(defaults) as (keyof AppValues)[])
      if (change[key] !== undefined) Object.assign(this.values, { [key]: change[key] ?? defaults[key] })
  }
}
