// Package embed stands in for etcd's server, of which kine uses one number. The real
// one brings 150 packages into the service, and with them text/template, which keeps
// the linker from dropping unused methods: 20 MB on disk and 10 MB in memory.
package embed

// DefaultMaxRequestBytes is the largest request that etcd takes by default.
const DefaultMaxRequestBytes = 1.5 * 1024 * 1024
