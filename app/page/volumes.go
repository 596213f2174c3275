package page

import (
	"context"
	"net/netip"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/docker"
)

func (a *API) volumeCreate(ctx context.Context, p VolumeParams) (ObjectRef, error) {
	name, err := docker.CreateVolume(ctx, a.current().core, docker.Volume{Name: p.Name, Driver: p.Driver, Labels: p.Labels})
	return ObjectRef{name}, inField(err, map[core.Kind]string{core.Usage: "name", core.NotFound: "driver"})
}

func (a *API) volumeDelete(ctx context.Context, params DeleteVolumesParams) ([]Failure, error) {
	return a.onEach(ctx, params.Names, func(ctx context.Context, engine *core.EngineObjects, name string) error {
		return engine.RemoveVolume(ctx, name, core.RemoveOptions{Force: params.Force})
	})
}

func (a *API) volumeFiles(ctx context.Context, p VolumePathParams) (Files, error) {
	return a.files(ctx, core.Volumes, p.Name, p.Path)
}

func (a *API) volumeDownload(ctx context.Context, p VolumeDownloadParams) (Path, error) {
	return a.download(ctx, core.Volumes, p.Name, p.Path, p.To)
}

func (a *API) networkCreate(ctx context.Context, p NetworkParams) (ObjectRef, error) {
	n := docker.Network{Name: p.Name, Driver: p.Driver, Internal: p.Internal}
	if p.Name == "" {
		return ObjectRef{}, badField("name", "name: is empty")
	}
	if p.Subnet != "" {
		subnet, err := netip.ParsePrefix(p.Subnet)
		if err != nil {
			return ObjectRef{}, badField("subnet", "subnet: want an address and a length such as 172.28.0.0/16; got %q", p.Subnet)
		}
		n.Subnet = subnet.Masked()
	}
	id, err := docker.CreateNetwork(ctx, a.current().core, n)
	fields := map[core.Kind]string{core.Usage: "name", core.Rejected: "name", core.NotFound: "driver"}
	if p.Subnet != "" {
		fields[core.Usage] = "subnet" // the engine takes almost any name
	}
	return ObjectRef{id}, inField(err, fields)
}

func (a *API) networkDelete(ctx context.Context, params IDsParams) ([]Failure, error) {
	return a.onEach(ctx, params.IDs, func(ctx context.Context, engine *core.EngineObjects, id string) error {
		return engine.RemoveNetwork(ctx, id)
	})
}
