// Package docker is a client of the docker engine of an instance's App, for what the control plane doesn't offer: it creates
// volumes and networks. The page and core/image use it. On the command line there is docker itself.
package docker

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/core"
)

// With lets do use the engine. It returns an error with the operation and the object, in the engine's own words.
func With(ctx context.Context, c *core.Core, op, object string, do func(engine *client.Client) error) error {
	engine, err := client.New(client.WithHost(c.Instance().DockerHost()), client.WithUserAgent("rdd/"+c.Version()))
	if err == nil {
		err = do(engine)
		_ = engine.Close()
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return core.Failed(op, object, ofKind(err))
}

// ofKind gives an answer of the engine the kind that its status says.
func ofKind(err error) error {
	kind := core.Other
	switch {
	case errdefs.IsInvalidArgument(err):
		kind = core.Usage
	case errdefs.IsNotFound(err):
		kind = core.NotFound
	case errdefs.IsConflict(err):
		kind = core.Rejected
	}
	if kind == core.Other || core.KindOf(err) != core.Other {
		return Words(err)
	}
	return &core.Error{Kind: kind, Err: Words(err)}
}

// errNoSocket means that nothing serves the engine's socket.
var errNoSocket = errors.New("the container engine can't be reached, because the service is not running; start the App with: rdd start")

// ErrLost means that an answer of the engine has no end.
var ErrLost = errors.New("the connection to the container engine was lost in the middle; when the App runs (rdd status), try again")

// Words returns an error without those around it, which only add who said it. A core.Error is returned as a whole.
func Words(err error) error {
	if client.IsErrConnectionFailed(err) {
		return errNoSocket
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return ErrLost
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		_, ours := inner.(*core.Error) //nolint:errorlint // this loop walks the chain
		if ours || errors.Is(inner, context.Canceled) || errors.Is(inner, context.DeadlineExceeded) {
			return err
		}
		if errors.Unwrap(inner) == nil {
			return inner
		}
	}
	return err
}

// Volume is a volume to create.
type Volume struct {
	Name   string // empty: the engine chooses one
	Driver string // empty: local
	Labels map[string]string
}

// CreateVolume creates a volume and returns its name. It is no error if there is one that is the same.
func CreateVolume(ctx context.Context, c *core.Core, v Volume) (name string, err error) {
	err = With(ctx, c, "create volume", v.Name, func(engine *client.Client) error {
		created, err := engine.VolumeCreate(ctx, client.VolumeCreateOptions{Name: v.Name, Driver: v.Driver, Labels: v.Labels})
		name = created.Volume.Name
		return err
	})
	return name, err
}

// Network is a network to create.
type Network struct {
	Name     string
	Driver   string       // empty: bridge
	Subnet   netip.Prefix // the zero value: the engine chooses one
	Internal bool         // no way out
}

// CreateNetwork creates a network and returns its ID.
func CreateNetwork(ctx context.Context, c *core.Core, n Network) (id string, err error) {
	options := client.NetworkCreateOptions{Driver: n.Driver, Internal: n.Internal}
	if n.Subnet.IsValid() {
		options.IPAM = &network.IPAM{Config: []network.IPAMConfig{{Subnet: n.Subnet}}}
	}
	err = With(ctx, c, "create network", n.Name, func(engine *client.Client) error {
		created, err := engine.NetworkCreate(ctx, n.Name, options)
		id = created.ID
		return err
	})
	return id, err
}
