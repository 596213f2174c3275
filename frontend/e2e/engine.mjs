// Every page of the container engine, over a real one. The scenarios use the same engine, in this order. RDD_BOX is a tar file
// with the program of the engine's tests as /box, for docker import.
import { start, stop } from './engine/app.mjs'
import { containers, many } from './engine/containers.mjs'
import { desk } from './engine/desk.mjs'
import { images } from './engine/images.mjs'
import { networks } from './engine/networks.mjs'
import { ports } from './engine/ports.mjs'
import { volumes } from './engine/volumes.mjs'

const patience = 120_000 // ms for anything to appear, once the engine runs

const scenario = (run) => ({
  realOnly: true,
  needs: ['RDD_BOX'],
  run: async ({ open, shots }) => {
    const page = await open()
    if (run !== start) page.setDefaultTimeout(patience)
    return run(await desk(page, shots))
  },
})

export const engineScenarios = {
  'a real engine: the first run starts it': scenario(start),
  'a real engine: a container, its logs, files, stats and a shell': scenario(containers),
  'a real engine: many containers at once': scenario(many),
  'a real engine: images are tagged, built, saved, loaded, deleted and pruned': scenario(images),
  'a real engine: volumes and their files': scenario(volumes),
  'a real engine: networks': scenario(networks),
  'a real engine: ports are allowed': scenario(ports),
  'a real engine: it stops, and its settings are saved': scenario(stop),
}
