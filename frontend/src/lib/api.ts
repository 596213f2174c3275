// The page's contract with the Go side (package app/page). Every method is call(method, params) -> result.
// Transport: window.go.* under Wails (one bound method Call(method, paramsJSON) -> resultJSON, events by runtime
// events "state" and "stream"); in a browser: POST /api/call/METHOD with the JSON of params, the token in a
// header; one SSE stream GET /api/events with events named "state" and "stream".
// A failed call gives {error: Problem} (HTTP 4xx/5xx in the browser mode).

export type Kind = 'other' | 'usage' | 'rejected' | 'timeout' | 'incompatible' | 'canceled' | 'not-found'
export interface Problem { kind: Kind; message: string; advice?: string; field?: string; log?: string }

export type ServiceState = 'not-created' | 'stopped' | 'starting' | 'running' | 'stopping' | 'broken'
export interface Service { instance: string; state: ServiceState; version?: string; pid?: number; server?: string; step?: string; error?: string; problem?: string /* ID of the known problem that the error is */; warning?: string; log: string; searchPath?: string /* PATH of the living process */ }
export interface Progress { phase: string; step?: number; steps?: number; bytes?: number; total?: number; message?: string; elapsed: number /* seconds */ }
export interface VM {
  name: string
  state: string            // core.Describe: Running, Stopped, Starting, Stopping, Creating, Deleting, Resetting, StartFailed, CreateFailed, Unresponsive, Paused, Pending …
  running: boolean         // as it was asked to be (spec.running)
  progress?: Progress
  problem?: string         // why it is not as it was asked to be, or, while it runs, what of it doesn't work
  advice?: string          // what a known problem means and what to do
  permanent?: boolean      // waiting can't mend the problem
  acceleration: 'hardware' | 'emulation' | '?'
  restarts: number
  created: string          // RFC 3339
  sshPort?: number
  canEnter: boolean        // a shell in it can be tried: it runs, or boots, or does not answer
  restartNeeded: string[]  // settings changed since the running guest was started, in words ("processors 2 → 4")
}
export type Verb = 'start-service' | 'stop-service' | 'restart-service' | 'reset-service' | 'delete-service' | 'create' | 'start' | 'stop' | 'restart' | 'delete' | 'reset' | 'change' | 'repair' | 'bundle'
export interface Operation {
  id: string; verb: Verb; object: string       // object: VM name, or the instance
  title: string                                 // "Start virtual machine demo"
  state: 'running' | 'overdue' | 'done' | 'failed' | 'abandoned'   // abandoned: nobody waits any more, the work goes on
  progress: Progress; started: string           // RFC 3339
  background: boolean                           // its dialog was sent to the background; still in the status bar
  force?: string                                // what a forced stop may lose; absent: nothing can be forced here
  log?: { source: LogSource; vm?: string }
  problem?: Problem
  fresh?: boolean                               // what a creation makes was not there before, so that canceling may delete it
}
export interface Question { operation: string; title: string; text: string; waited: number /* s */; extend: number /* s that Keep waiting adds */; force?: string; waiting: number /* questions queued behind this one */ }
export interface Settings {
  theme: 'system' | 'light' | 'dark'
  serviceTimeout: number; vmTimeout: number     // seconds; 0: no limit
  logLevel: 'error' | 'warn' | 'info' | 'debug' // of the service, used at its next start
  startAtLogin: boolean; trayAtLogin: boolean
  onQuit: 'ask' | 'keep-running' | 'stop'
  firstRunDone: boolean
}
export interface LoginStatus { part: 'service' | 'tray'; installed: boolean; path: string; note?: string }   // where what starts at login is kept
export interface State {
  instance: string; instances: string[]; version: string; host: { cpus: number; memory: number; disk: number; os: string }
  service: Service; vms: VM[]; vmsKnown: boolean  // vmsKnown false: the control plane can't be asked now
  error?: Problem                                // why not all can be seen
  operations: Operation[]; question?: Question    // the one question to show now
  settings: Settings; login: LoginStatus[]; readOnly: boolean
}

export type LogSource = 'service' | 'hostagent' | 'serial' | 'events'
export interface Usage { name: string /* '' = the service */; cpu: number /* cores in use since the last call */; memory: number; disk: number; max: number }
export interface TemplateInfo { name: string; locator: string; description: string; source: 'shipped' | 'stored' }
export interface Resources { cpus: number; memory: number; disk: number }     // bytes
export interface VMResources { next: Resources; current?: Resources; least: Resources; most: Resources; pending: boolean }
export interface Param { name: string; value: string; default: string; set: boolean }
export interface FieldProblem { field: 'name' | 'template' | 'cpus' | 'memory' | 'disk' | 'params' | string; message: string }   // params.NAME: of one param
export interface Finding { check: string; id: string; severity: 'ok' | 'warning' | 'problem'; what: string; meaning?: string; remedy?: string; repair?: string /* label of the one-click repair, where safe */ }
export interface Report { instance: string; version: string; os: string; arch: string; findings: Finding[] }
export interface BundleFile { name: string; bytes: number; redactions: number; truncated?: boolean }
export interface Stream { id: string; data?: string; end?: boolean; problem?: Problem }  // event "stream"
export interface Ref { operation: string }

export interface Methods {
  'state': [{}, State]
  'usage': [{}, Usage[]]
  'service.start': [{}, Ref]; 'service.stop': [{}, Ref]; 'service.restart': [{}, Ref]
  'service.reset': [{}, Ref]           // keeps settings, credentials, backups; loses VMs and their disks
  'service.delete': [{}, Ref]          // factory reset: loses everything of the instance
  'service.backups': [{}, { name: string; time: string; bytes: number; problem?: string }[]]
  'service.restore': [{ backup: string }, Ref]
  'templates': [{}, TemplateInfo[]]
  'template.read': [{ locator: string }, { text: string }]
  'template.params': [{ locator: string; text?: string }, Param[]]              // text wins over the locator
  'vm.check': [{ name: string; template: string; text?: string; resources?: Resources; params?: Record<string, string> }, FieldProblem[]]   // changes nothing; template: a locator; text wins over it
  'vm.create': [{ name: string; template: string; text?: string; resources?: Resources; params?: Record<string, string>; start: boolean }, Ref]
  'vm.start': [{ name: string }, Ref]; 'vm.stop': [{ name: string; force?: boolean }, Ref]; 'vm.restart': [{ name: string; force?: boolean }, Ref]
  'vm.delete': [{ name: string }, Ref]; 'vm.reset': [{ name: string }, Ref]
  'vm.template': [{ name: string }, { text: string; version: string }]
  'vm.checkTemplate': [{ name: string; text: string }, FieldProblem[]]          // changes nothing; what vm.setTemplate would refuse
  'vm.setTemplate': [{ name: string; version: string; text: string }, Ref]      // rejected when it changed meanwhile
  'vm.resources': [{ name: string }, VMResources]
  'vm.setResources': [{ name: string; resources: Resources }, Ref]
  'vm.params': [{ name: string }, Param[]]
  'vm.setParams': [{ name: string; set: Record<string, string>; remove: string[] }, Ref]
  'operation.background': [{ id: string; background: boolean }, {}]
  'operation.dismiss': [{ id: string }, {}]                                     // forget one that ended
  'operation.cancel': [{ id: string; delete?: boolean }, { operation?: string }] // undo what can be undone (a start becomes a stop; a creation, with delete, a deletion) by another operation, else stop waiting
  'operation.answer': [{ id: string; answer: 'keep' | 'stop-waiting' | 'force' }, {}]
  'log.open': [{ source: LogSource; vm?: string }, { stream: string }]
  'shell.open': [{ name: string; cols: number; rows: number }, { stream: string }]
  'stream.write': [{ stream: string; data: string }, {}]; 'stream.resize': [{ stream: string; cols: number; rows: number }, {}]; 'stream.close': [{ stream: string }, {}]
  'diagnose': [{}, Report]; 'diagnose.repair': [{ id: string }, Ref]
  'bundle.preview': [{}, { bundle: string; files: BundleFile[]; redactions: number }]
  'bundle.file': [{ bundle: string; name: string }, { text: string }]
  'bundle.save': [{ bundle: string; path?: string }, { path: string }]
  'settings.set': [Partial<Settings>, Settings]
  'instance.open': [{ name: string }, State]                                    // switch to an instance; creates nothing
}
