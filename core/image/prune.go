package image

import (
	"context"
	"fmt"

	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/core"
)

// What can be pruned.
const (
	Containers = "containers" // all that don't run
	Images     = "images"     // those without a tag; with all, those that no container uses
	Volumes    = "volumes"    // those without a name that no container uses; with all, those with a name, too
	Networks   = "networks"   // those that no container uses
	BuildCache = "buildCache" // what no build can use any more; with all, all of it
)

// Prunable lists what can be pruned.
func Prunable() []string { return []string{Containers, Images, Volumes, Networks, BuildCache} }

// Pruned is what a prune has deleted.
type Pruned struct {
	Deleted   []string // in the engine's words; of an image, also the tags
	Reclaimed int64    // bytes
}

// Prune deletes what the engine no longer needs. all deletes more; see Prunable.
func (c *Client) Prune(ctx context.Context, what string, all bool) (p Pruned, err error) {
	prune, ok := pruners[what]
	if !ok {
		return p, &core.Error{Kind: core.Usage, Err: fmt.Errorf("can't prune %q: want one of %q", what, Prunable())}
	}
	err = c.with(ctx, "prune "+titles[what], "", func(engine *client.Client) error {
		var reclaimed uint64
		p.Deleted, reclaimed, err = prune(ctx, engine, all)
		p.Reclaimed = int64(reclaimed)
		return err
	})
	return p, err
}

var titles = map[string]string{Containers: "containers", Images: "images", Volumes: "volumes", Networks: "networks", BuildCache: "the build cache"}

var pruners = map[string]func(ctx context.Context, engine *client.Client, all bool) ([]string, uint64, error){
	Containers: func(ctx context.Context, engine *client.Client, _ bool) ([]string, uint64, error) {
		done, err := engine.ContainerPrune(ctx, client.ContainerPruneOptions{})
		return done.Report.ContainersDeleted, done.Report.SpaceReclaimed, err
	},
	Images: func(ctx context.Context, engine *client.Client, all bool) (deleted []string, _ uint64, _ error) {
		filters := make(client.Filters).Add("dangling", fmt.Sprint(!all))
		done, err := engine.ImagePrune(ctx, client.ImagePruneOptions{Filters: filters})
		for _, d := range done.Report.ImagesDeleted {
			if d.Untagged != "" {
				deleted = append(deleted, d.Untagged)
			} else {
				deleted = append(deleted, d.Deleted)
			}
		}
		return deleted, done.Report.SpaceReclaimed, err
	},
	Volumes: func(ctx context.Context, engine *client.Client, all bool) ([]string, uint64, error) {
		done, err := engine.VolumePrune(ctx, client.VolumePruneOptions{All: all})
		return done.Report.VolumesDeleted, done.Report.SpaceReclaimed, err
	},
	Networks: func(ctx context.Context, engine *client.Client, _ bool) ([]string, uint64, error) {
		done, err := engine.NetworkPrune(ctx, client.NetworkPruneOptions{})
		return done.Report.NetworksDeleted, 0, err
	},
	BuildCache: func(ctx context.Context, engine *client.Client, all bool) ([]string, uint64, error) {
		done, err := engine.BuildCachePrune(ctx, client.BuildCachePruneOptions{All: all})
		return done.Report.CachesDeleted, done.Report.SpaceReclaimed, err
	},
}
