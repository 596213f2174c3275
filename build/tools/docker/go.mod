module rancherdesktop.io/rdd/build/tools/docker

go 1.26.5

// Nothing here imports these, so `go mod tidy` would remove them. The other modules from which docker is built are those of its
// vendor.mod; that asks for v2.1.3 of swarmkit, which not every module proxy has.
require (
	github.com/docker/cli v29.9.3+incompatible
	github.com/moby/swarmkit/v2 v2.1.2
)
