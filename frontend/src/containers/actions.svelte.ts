// What can be done with containers. The engine's refusals are shown on the page that asked.
import { SvelteMap } from 'svelte/reactivity'
import type { Container, Failure } from '../lib/api'
import type { Store } from '../lib/store.svelte'
import { problemOf } from '../lib/transport'
import type { UI } from '../lib/ui.svelte'
import { count } from '../ui/format'
import { isUp } from './labels'

export const verbs = {
  start: { title: 'Start', doing: 'Starting', can: (c: Container) => !isUp(c) && c.state !== 'removing' },
  stop: { title: 'Stop', doing: 'Stopping', can: isUp },
  restart: { title: 'Restart', doing: 'Restarting', can: isUp },
  pause: { title: 'Pause', doing: 'Pausing', can: (c: Container) => c.state === 'running' },
  unpause: { title: 'Resume', doing: 'Resuming', can: (c: Container) => c.state === 'paused' },
  kill: { title: 'Kill', doing: 'Killing', can: isUp },
} as const
export type Verb = keyof typeof verbs

export class ContainerActions {
  // What is being done with a container until the engine has answered, by ID.
  readonly doing = new SvelteMap<string, string>()
  refused = $state.raw<{ what: string; failures: Failure[] }>()

  constructor(
    private store: Store,
    private ui: UI,
  ) {}

  // run does it with those of the containers with which it can be done.
  run(verb: Verb, containers: readonly Container[]): Promise<void> {
    const of = containers.filter(verbs[verb].can)
    const ids = of.map((c) => c.id)
    return this.#attempt(verb === 'unpause' ? 'resume' : verb, verbs[verb].doing, of, () =>
      this.store.call(`container.${verb}`, { ids }),
    )
  }

  // remove asks first. It calls done when the engine has answered and refused nothing.
  remove(containers: readonly Container[], done?: () => void) {
    if (containers.length === 0) return
    const up = containers.filter(isUp)
    const what = containers.length === 1 ? `container ${containers[0]!.name}` : count(containers.length, 'container')
    const ids = containers.map((c) => c.id)
    this.ui.confirmation = {
      title: `Delete ${what}?`,
      text:
        up.length === 0
          ? 'A deleted container can’t be restored.'
          : containers.length === 1
            ? 'It is running, and is killed first. A deleted container can’t be restored.'
            : `${up.length} of them ${up.length === 1 ? 'is running, and is' : 'are running, and are'} killed first. Deleted containers can’t be restored.`,
      keeps: ['images', 'named volumes and folders of this computer that are mounted'],
      loses: ['files that were written inside of the container, outside of its volumes', 'logs'],
      check: 'Delete anonymous volumes, too',
      action: 'Delete',
      run: (volumes) =>
        void this.#attempt('delete', 'Deleting', containers, () =>
          this.store.call('container.delete', { ids, force: up.length > 0, volumes }),
        ).then(() => {
          if (!this.refused) done?.()
        }),
    }
  }

  async #attempt(what: string, doing: string, containers: readonly Container[], call: () => Promise<Failure[]>) {
    if (containers.length === 0) return
    this.refused = undefined
    this.#mark(containers, doing)
    try {
      const failures = await call()
      if (failures.length) this.refused = { what, failures }
    } catch (e) {
      this.ui.failure = { what: `${what} ${count(containers.length, 'container')}`, problem: problemOf(e) }
      this.refused = { what, failures: [] }
    } finally {
      this.#mark(containers, undefined)
    }
  }

  #mark(containers: readonly Container[], doing: string | undefined) {
    for (const { id } of containers) {
      if (doing) this.doing.set(id, doing)
      else this.doing.delete(id)
    }
  }
}
