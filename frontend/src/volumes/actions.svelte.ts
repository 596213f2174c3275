// What can be done with volumes.
import { Attempts } from '../engine/attempts.svelte'
import type { Volume } from '../lib/api'
import type { Store } from '../lib/store.svelte'
import type { UI } from '../lib/ui.svelte'
import { count } from '../ui/format'
import { isAnonymous, isUsed, volumeName } from './labels'

export class VolumeActions extends Attempts {
  constructor(store: Store, ui: UI) {
    super(store, ui, 'volume')
  }

  // remove asks first, for those that no container uses. It calls done when all of them are deleted.
  remove(volumes: readonly Volume[], done?: () => void) {
    const unused = volumes.filter((v) => !isUsed(v))
    const names = unused.map((v) => v.name)
    if (names.length === 0) return
    const used = volumes.length - names.length
    this.ui.confirmation = {
      title: `Delete ${names.length === 1 ? `volume ${volumeName(unused[0]!)}` : count(names.length, 'volume')}?`,
      text: `${used ? `${count(used, 'volume')} of the selection ${used === 1 ? 'is' : 'are'} in use and not deleted. ` : ''}Deleted data can’t be restored.`,
      loses: [names.length === 1 ? 'all files in the volume' : 'all files in these volumes'],
      action: 'Delete',
      run: async () => {
        if (await this.attempt('delete', 'Deleting', names, () => this.store.call('volume.delete', { names }))) done?.()
      },
    }
  }

  // prune asks first.
  prune(volumes: readonly Volume[]) {
    const named = volumes.filter((v) => !isUsed(v) && !isAnonymous(v)).length
    this.ui.confirmation = {
      title: 'Delete unused volumes?',
      text: 'Volumes that no container uses, also no stopped one, are deleted. Deleted data can’t be restored.',
      loses: ['all files in unused anonymous volumes'],
      ...(named > 0 && { check: `Also delete ${count(named, 'unused volume')} with a name` }),
      action: 'Delete',
      run: (all) => void this.ui.act('delete unused volumes', () => this.store.call('prune', { what: 'volumes', all })),
    }
  }
}
