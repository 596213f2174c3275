// Package image moves images between the App's engine, registries, folders and files, as docker pull, push, build, load and
// save do, and prunes what the engine no longer needs. The page uses it; on the command line there is docker itself. It is
// a client of the engine's socket and finds the user's credentials as docker does, so that the service never sees them.
package image

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os/exec"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/docker"
)

// Client is a client of an instance's engine. The end of a call's context ends the work, too: the engine stops it when the
// connection closes.
type Client struct {
	core *core.Core
	env  []string // of the programs that it runs; PATH has docker and the credential helpers
}

// New returns a client of the engine of an instance.
func New(c *core.Core) *Client {
	return &Client{c, c.RunEnvironment(new(exec.Cmd).Environ(), core.RunOptions{Host: true})}
}

// Part is a layer of an image that is moved, or a step of a build.
type Part struct {
	ID      string // of the layer, as docker shows it, or of the step
	Name    string // of the step; empty: the ID is the name
	Status  string // in the words of the engine
	Current int64  // bytes
	Total   int64  // bytes; 0: unknown
	Done    bool
}

// Report receives what happens. Its functions are called in order, never concurrently, and may be nil.
type Report struct {
	Part    func(Part)        // a part is new or has changed
	Message func(line string) // what happens as a whole
	Log     func(text string) // more of a build's log
	Bytes   func(done, total int64)
}

func (r Report) part(p Part) {
	if r.Part != nil {
		r.Part(p)
	}
}

func (r Report) message(line string) {
	if line = strings.TrimSpace(line); r.Message != nil && line != "" {
		r.Message(line)
	}
}

func (r Report) log(text string) {
	if r.Log != nil && text != "" {
		r.Log(text)
	}
}

func (r Report) bytes(done, total int64) {
	if r.Bytes != nil {
		r.Bytes(done, total)
	}
}

// with lets do use the engine. It returns an error with the operation and the object, in the engine's own words.
func (c *Client) with(ctx context.Context, op, object string, do func(engine *client.Client) error) error {
	return docker.With(ctx, c.core, op, object, do)
}

// parse reads a reference as docker does: docker.io/library is not needed.
func parse(text string) (reference.Named, error) {
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return nil, &core.Error{Kind: core.Usage, Err: fmt.Errorf("%w: want a name such as nginx:1.29 or registry.example.com/team/shop:2", err)}
	}
	return named, nil
}

// Pull downloads an image from its registry. platform, such as linux/arm64, may be empty: the engine's own.
func (c *Client) Pull(ctx context.Context, name, platform string, r Report) error {
	const op = "pull image"
	named, err := parse(name)
	if err != nil {
		return core.Failed(op, name, err)
	}
	var o client.ImagePullOptions
	if platform != "" {
		p, err := parsePlatform(platform)
		if err != nil {
			return core.Failed(op, name, err)
		}
		o.Platforms = []ocispec.Platform{p}
	}
	return c.with(ctx, op, name, func(engine *client.Client) error {
		return c.authorized(ctx, named, r, func(auth string) error {
			o.RegistryAuth = auth
			messages, err := engine.ImagePull(ctx, named.String(), o)
			if err != nil {
				return err
			}
			return follow(messages.JSONMessages(ctx), r)
		})
	})
}

// parsePlatform reads a platform.
func parsePlatform(text string) (p ocispec.Platform, err error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return p, &core.Error{Kind: core.Usage, Err: fmt.Errorf("the platform %q is not valid: want for example linux/amd64, linux/arm64 or linux/arm/v7", text)}
	}
	p.OS, p.Architecture = parts[0], parts[1]
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// Push uploads an image to the registry that its name begins with.
func (c *Client) Push(ctx context.Context, name string, r Report) error {
	const op = "push image"
	named, err := parse(name)
	if _, digested := named.(reference.Digested); digested && err == nil {
		err = &core.Error{Kind: core.Usage, Err: errors.New("an image is pushed by its tag, not by a digest")}
	}
	if err != nil {
		return core.Failed(op, name, err)
	}
	return c.with(ctx, op, name, func(engine *client.Client) error {
		return c.authorized(ctx, named, r, func(auth string) error {
			messages, err := engine.ImagePush(ctx, named.String(), client.ImagePushOptions{RegistryAuth: auth})
			if err != nil {
				return err
			}
			return follow(messages.JSONMessages(ctx), r)
		})
	})
}

// anonymousError is the refusal of a registry that was asked without credentials, because those that there may be could not
// be read.
type anonymousError struct{ refused, unread error }

func (e *anonymousError) Error() string {
	return fmt.Sprintf("%v. No credentials were used: %v", e.refused, e.unread)
}

func (e *anonymousError) Unwrap() error { return e.refused }

// authorized lets do use the credentials for an image's registry, in the form of the engine's header. It works without
// credentials, too: most images are public.
func (c *Client) authorized(ctx context.Context, named reference.Named, r Report, do func(auth string) error) error {
	found, unread := c.keychain().find(ctx, registryKey(named))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	auth, err := authconfig.Encode(found)
	if err != nil {
		return err
	}
	if unread != nil {
		r.message("Trying without credentials: " + unread.Error())
	}
	err = do(auth)
	if err != nil && unread != nil && ctx.Err() == nil && !client.IsErrConnectionFailed(err) {
		return &core.Error{Err: &anonymousError{docker.Words(err), unread}}
	}
	return err
}

// follow reports the messages of a pull or push until they end. An error in them is the result.
func follow(messages iter.Seq2[jsonstream.Message, error], r Report) error {
	for m, err := range messages {
		switch {
		case err != nil:
			return err
		case m.Error != nil:
			return errors.New(strings.TrimSpace(m.Error.Message))
		case m.ID == "" || strings.HasPrefix(m.Status, "Pulling from "): // whose ID is the tag
			r.message(m.Status)
		default:
			p := Part{ID: m.ID, Status: m.Status, Done: isDone(m.Status)}
			if m.Progress != nil && m.Progress.Units == "" {
				p.Current, p.Total = m.Progress.Current, max(0, m.Progress.Total)
			}
			r.part(p)
		}
	}
	return nil
}

// isDone reports whether a layer has this status at its end.
// Source: moby, daemon/internal/distribution (pull_v2.go, push_v2.go) and daemon/internal/distribution/xfer.
func isDone(status string) bool {
	return slices.Contains([]string{"Pull complete", "Already exists", "Pushed", "Layer already exists"}, status) || strings.HasPrefix(status, "Mounted from ")
}
