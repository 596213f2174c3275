package image

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	archive "github.com/moby/go-archive"
	"github.com/moby/moby/api/types/jsonstream"
	"github.com/moby/moby/client"
	"github.com/moby/patternmatcher/ignorefile"

	"rancherdesktop.io/rdd/core"
)

// BuildOptions say what to build.
type BuildOptions struct {
	Folder     string // absolute; the build's context
	Dockerfile string // in the folder; empty: Dockerfile
	Tag        string // of the new image; may be empty
	Target     string // the stage to build; empty: the last one
	Args       map[string]string
	NoCache    bool
	Pull       bool // look for newer base images
}

const dockerfile = "Dockerfile"

// check fails for options that no builder can use.
func (o BuildOptions) check() error {
	bad := func(format string, a ...any) error {
		return &core.Error{Kind: core.Usage, Err: fmt.Errorf(format, a...)}
	}
	if !filepath.IsAbs(o.Folder) {
		return bad("want the absolute path of a folder; got %q", o.Folder)
	}
	if info, err := os.Stat(o.Folder); err != nil {
		return bad("the folder %s can't be read: %w", o.Folder, cause(err))
	} else if !info.IsDir() {
		return bad("%s is not a folder", o.Folder)
	}
	file := cmp.Or(o.Dockerfile, dockerfile)
	if !filepath.IsLocal(file) {
		return bad("the Dockerfile must be in the folder; got %q", file)
	}
	switch info, err := os.Stat(filepath.Join(o.Folder, file)); {
	case errors.Is(err, fs.ErrNotExist):
		return bad("there is no %s in %s", file, o.Folder)
	case err != nil:
		return bad("%s can't be read: %w", file, cause(err))
	case info.IsDir():
		return bad("%s is a folder, not a Dockerfile", file)
	}
	for name := range o.Args {
		if name == "" || strings.ContainsAny(name, "= \t\n") {
			return bad("%q is not a name of a build argument", name)
		}
	}
	if o.Tag != "" {
		_, err := parse(o.Tag)
		return err
	}
	return nil
}

// Build builds an image from a folder, with docker's buildx if this computer has it, else with the engine's old builder.
func (c *Client) Build(ctx context.Context, o BuildOptions, r Report) error {
	const op = "build"
	if err := o.check(); err != nil {
		return core.Failed(op, o.Folder, err)
	}
	// The engine says why it can't be used; buildx would say it in other words.
	err := c.with(ctx, op, o.Folder, func(engine *client.Client) error {
		_, err := engine.ServerVersion(ctx, client.ServerVersionOptions{})
		return err
	})
	if err != nil {
		return err
	}
	builder, inJSON := c.buildx(ctx)
	if ctx.Err() != nil {
		return core.Failed(op, o.Folder, context.Cause(ctx))
	}
	if builder != nil {
		return core.Failed(op, o.Folder, c.buildWith(ctx, builder, inJSON, o, r))
	}
	r.log("There is no docker with buildx on this computer, so the engine's old builder is used.\n")
	return c.with(ctx, op, o.Folder, func(engine *client.Client) error { return c.buildOld(ctx, engine, o, r) })
}

// buildOld builds with the builder that needs no session. It gets the credentials in a header of the request.
func (c *Client) buildOld(ctx context.Context, engine *client.Client, o BuildOptions, r Report) error {
	file := filepath.ToSlash(filepath.Clean(cmp.Or(o.Dockerfile, dockerfile)))
	excluded, err := ignored(o.Folder, file)
	if err != nil {
		return err
	}
	folder, err := archive.TarWithOptions(o.Folder, &archive.TarOptions{ExcludePatterns: excluded, ChownOpts: &archive.ChownOpts{}})
	if err != nil {
		return fmt.Errorf("read the folder: %w", err)
	}
	defer folder.Close()
	auths, problems := c.keychain().all(ctx)
	for _, problem := range problems {
		r.log("Some credentials can't be used: " + problem.Error() + "\n")
	}
	options := client.ImageBuildOptions{
		Dockerfile: file, Target: o.Target, NoCache: o.NoCache, PullParent: o.Pull, Remove: true, ForceRemove: true,
		AuthConfigs: auths, BuildArgs: map[string]*string{},
	}
	if o.Tag != "" {
		options.Tags = []string{o.Tag}
	}
	for name, value := range o.Args {
		options.BuildArgs[name] = &value
	}
	answer, err := engine.ImageBuild(ctx, folder, options)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	steps := steps{report: r}
	err = followOutput(ctx, answer.Body, Report{Part: r.Part, Message: func(line string) { r.log(line + "\n") }, Log: steps.log})
	if err == nil {
		steps.end()
	}
	return err
}

// ignored returns the patterns of the files that are not sent to the engine. The files that the builder reads itself are.
func ignored(folder, file string) ([]string, error) {
	f, err := os.Open(filepath.Join(folder, ".dockerignore"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var patterns []string
	if err == nil {
		defer f.Close()
		patterns, err = ignorefile.ReadAll(f)
	}
	if err != nil {
		return nil, fmt.Errorf("read .dockerignore: %w", err)
	}
	return append(patterns, "!"+file, "!.dockerignore"), nil
}

// steps makes parts of the steps in the log of the old builder.
type steps struct {
	report Report
	now    Part
}

func (s *steps) log(text string) {
	s.report.log(text)
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "Step ") && strings.Contains(line, " : ") {
			s.end()
			id, name, _ := strings.Cut(line, " : ")
			s.now = Part{ID: id, Name: name, Status: "Running"}
			s.report.part(s.now)
		}
	}
}

// end ends the step.
func (s *steps) end() {
	if s.now.ID != "" {
		s.now.Status, s.now.Done = "Done", true
		s.report.part(s.now)
	}
}

// followOutput reports the messages in an answer of the engine until it ends. An error in it is the result.
func followOutput(ctx context.Context, answer io.Reader, r Report) error {
	dec := json.NewDecoder(bufio.NewReader(answer))
	messages := func(yield func(jsonstream.Message, error) bool) {
		for {
			var m jsonstream.Message
			err := dec.Decode(&m)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if m.Stream != "" && err == nil {
				if r.Log != nil {
					r.log(m.Stream)
				} else {
					r.message(m.Stream)
				}
				continue
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
	return follow(messages, r)
}

// argsOf returns the arguments of `docker buildx build` for the options.
func (o BuildOptions) argsOf(progress string) []string {
	args := []string{"build", "--builder", "default", "--progress", progress, "--file", filepath.Join(o.Folder, cmp.Or(o.Dockerfile, dockerfile))}
	if o.Tag != "" {
		args = append(args, "--tag", o.Tag)
	}
	if o.Target != "" {
		args = append(args, "--target", o.Target)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Args)) {
		args = append(args, "--build-arg", name+"="+o.Args[name])
	}
	if o.NoCache {
		args = append(args, "--no-cache")
	}
	if o.Pull {
		args = append(args, "--pull")
	}
	return append(args, "--", o.Folder)
}
