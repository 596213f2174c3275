package image

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/internal/proc"
)

// buildxGrace is how long buildx may take to end after an interrupt.
const buildxGrace = 5 * time.Second

var buildxVersion = regexp.MustCompile(`\bv?(\d+)\.(\d+)\.`)

// buildx returns the command that begins with docker's buildx: as a plugin of docker, as a program of its own, or that of RDD's
// tools behind a docker without it. inJSON says whether it can report in JSON. It returns nil if there is none.
func (c *Client) buildx(ctx context.Context) (command []string, inJSON bool) {
	for _, candidate := range [][]string{{"docker", "buildx"}, {"docker-buildx"}, {filepath.Join(c.core.Instance().ToolsDir(), "docker"), "buildx"}} {
		program, err := core.FindProgram(candidate[0], c.env)
		if err != nil {
			continue
		}
		candidate[0] = program
		cmd := exec.Command(program, slices.Concat(candidate[1:], []string{"version"})...)
		cmd.Env = c.env
		if out, err := proc.Output(ctx, cmd, buildxGrace); err == nil { // else, docker is there without the plugin
			return candidate, reportsJSON(string(out))
		}
	}
	return nil, false
}

// reportsJSON reports whether this version of buildx has --progress=rawjson.
// Source: buildx 0.13, which vendors BuildKit 0.13.
func reportsJSON(version string) bool {
	m := buildxVersion.FindStringSubmatch(version)
	if m == nil {
		return false
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return major > 0 || minor >= 13
}

// buildWith builds with buildx. It finds the user's credentials itself.
func (c *Client) buildWith(ctx context.Context, command []string, inJSON bool, o BuildOptions, r Report) error {
	progress := "plain"
	if inJSON {
		progress = "rawjson"
	}
	cmd := exec.Command(command[0], slices.Concat(command[1:], o.argsOf(progress))...)
	cmd.Env, cmd.Dir = c.env, o.Folder
	out := &buildOutput{report: r, parts: map[string]Part{}}
	cmd.Stdout, cmd.Stderr = out, out
	tree, err := proc.Start(ctx, cmd, buildxGrace)
	if err == nil {
		err = tree.Wait()
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	out.end()
	if _, failed := errors.AsType[*exec.ExitError](err); failed && out.problem != "" {
		return errors.New(out.problem)
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", command[0], err)
	}
	return nil
}

// solveStatus is a line of the output of --progress=rawjson.
// Source: github.com/moby/buildkit/client, SolveStatus.
type solveStatus struct {
	Vertexes []struct {
		Digest    string     `json:"digest"`
		Name      string     `json:"name"`
		Started   *time.Time `json:"started"`
		Completed *time.Time `json:"completed"`
		Cached    bool       `json:"cached"`
		Error     string     `json:"error"`
	} `json:"vertexes"`
	Statuses []struct {
		ID      string `json:"id"`
		Vertex  string `json:"vertex"`
		Current int64  `json:"current"`
		Total   int64  `json:"total"`
	} `json:"statuses"`
	Logs []struct {
		Data []byte `json:"data"`
	} `json:"logs"`
	Warnings []struct {
		Short []byte `json:"short"`
	} `json:"warnings"`
}

// buildOutput reads the output of buildx, which is lines of JSON or of text.
type buildOutput struct {
	report  Report
	rest    []byte
	parts   map[string]Part
	moved   map[string][2]int64 // bytes of a step's transfers, by step and transfer
	problem string              // what buildx says after ERROR, or a step's error
	said    bool                // the problem is what buildx says
}

func (b *buildOutput) Write(p []byte) (int, error) {
	b.rest = append(b.rest, p...)
	for {
		line, rest, whole := bytes.Cut(b.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		b.line(line)
		b.rest = rest
	}
}

// end reads a last line that does not end.
func (b *buildOutput) end() {
	if len(b.rest) > 0 {
		b.line(b.rest)
	}
}

func (b *buildOutput) line(line []byte) {
	var status solveStatus
	if len(line) > 0 && line[0] == '{' && json.Unmarshal(line, &status) == nil {
		b.status(status)
		return
	}
	text := strings.TrimRight(string(line), "\r")
	if problem, ok := strings.CutPrefix(text, "ERROR: "); ok {
		b.problem, b.said = problem, true
	}
	b.report.log(text + "\n")
}

func (b *buildOutput) status(s solveStatus) {
	for _, v := range s.Vertexes {
		p, known := b.parts[v.Digest]
		p.ID, p.Name = v.Digest, v.Name
		switch {
		case v.Error != "" && strings.HasSuffix(v.Error, "context canceled"): // because of another step
			p.Status, p.Done = "Canceled", false
		case v.Error != "":
			p.Status = "Failed"
			if !b.said {
				b.problem = cmp.Or(b.problem, v.Error)
			}
			b.report.log("ERROR: " + v.Error + "\n")
		case v.Cached:
			p.Status, p.Done = "Cached", true
		case v.Completed != nil:
			p.Status, p.Done = "Done", true
		case v.Started != nil:
			p.Status = "Running"
		default:
			p.Status = "Waiting"
		}
		if !known || p != b.parts[v.Digest] {
			if b.parts[v.Digest].Status != p.Status && slices.Contains([]string{"Running", "Cached"}, p.Status) {
				b.report.log(stepLine(p))
			}
			b.parts[v.Digest] = p
			b.report.part(p)
		}
	}
	for _, t := range s.Statuses {
		b.transfer(t.Vertex, t.ID, t.Current, t.Total)
	}
	for _, l := range s.Logs {
		b.report.log(string(l.Data))
	}
	for _, w := range s.Warnings {
		b.report.log("WARNING: " + string(w.Short) + "\n")
	}
}

func stepLine(p Part) string {
	if p.Status == "Cached" {
		return "=> CACHED " + p.Name + "\n"
	}
	return "=> " + p.Name + "\n"
}

// transfer adds the bytes of a step's transfer, such as a layer, to those of its others.
func (b *buildOutput) transfer(step, id string, current, total int64) {
	p, known := b.parts[step]
	if !known || total <= 0 {
		return
	}
	if b.moved == nil {
		b.moved = map[string][2]int64{}
	}
	key := step + " " + id
	before := b.moved[key]
	b.moved[key] = [2]int64{current, total}
	p.Current += current - before[0]
	p.Total += total - before[1]
	b.parts[step] = p
	b.report.part(p)
}
