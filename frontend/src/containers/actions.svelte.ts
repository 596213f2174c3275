// What can be done with containers.
import { Attempts } from '../engine/attempts.svelte'
import type { Container } from '../lib/api'
import type { Store } from '../lib/store.svelte'
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

export class ContainerActions extends Attempts {
  constructor(store: Store, ui: UI) {
    super(store, ui, 'container')
  }

  // run does it with those of the containers with which it can be done.
  run(verb: Verb, containers: readonly Container[]) {
    const { title, doing, can } = verbs[verb]
    const ids = containers.filter(can).map((c) => c.object)
    return this.attempt(title.toLowerCase(), doing, ids, () => this.store.call(`container.${verb}`, { ids }))
  }

  // remove asks first. It calls done when all of them are deleted.
  remove(containers: readonly Container[], done?: () => void) {
    if (containers.length === 0) return
    const up = containers.filter(isUp).length
    const one = containers.length === 1
    const ids = containers.map((c) => c.object)
    const killed = one
      ? 'It is running, and is killed first. '
      : `${up} of them ${up === 1 ? 'is running, and is' : 'are running, and are'} killed first. `
    this.ui.confirmation = {
      title: `Delete ${one ? `container ${containers[0]!.name}` : count(containers.length, 'container')}?`,
      text: `${up ? killed : ''}${one ? 'A deleted container' : 'Deleted containers'} can’t be restored.`,
      keeps: ['images', 'named volumes, and folders of this computer that are mounted'],
      loses: [`files that were written in the container${one ? '' : 's'}, outside of volumes`, 'logs'],
      check: 'Delete anonymous volumes, too',
      action: 'Delete',
      run: async (volumes) => {
        const call = () => this.store.call('container.delete', { ids, force: up > 0, volumes })
        if (await this.attempt('delete', 'Deleting', ids, call)) done?.()
      },
    }
  }

  // prune asks first.
  prune() {
    this.ui.confirmation = {
      title: 'Delete stopped containers?',
      text: 'All containers that do not run are deleted, with those of compose projects.',
      keeps: ['images and volumes'],
      loses: ['files that were written in these containers, outside of volumes', 'their logs'],
      action: 'Delete',
      run: () => void this.ui.act('delete stopped containers', () => this.store.call('prune', { what: 'containers' })),
    }
  }
}
