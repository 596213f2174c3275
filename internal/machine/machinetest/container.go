package machinetest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// containerActions are the states that containers have after an action.
var containerActions = map[string]string{
	"start": "running", "stop": "exited", "restart": "running", "kill": "exited", "pause": "paused", "unpause": "running",
}

// handleContainers answers what a client does with containers.
func (e *engine) handleContainers(mux *http.ServeMux) {
	for action, state := range containerActions {
		mux.HandleFunc("POST /containers/{id}/"+action, func(w http.ResponseWriter, r *http.Request) { e.act(w, r, state) })
	}
	mux.HandleFunc("DELETE /containers/{id}", e.remove)
	mux.HandleFunc("GET /containers/{id}/logs", e.logs)
	mux.HandleFunc("GET /containers/{id}/stats", e.stats)
	mux.HandleFunc("POST /containers/{id}/exec", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusCreated, map[string]string{"Id": "command"})
	})
	mux.HandleFunc("POST /exec/{id}/start", echo)
	mux.HandleFunc("POST /exec/{id}/resize", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /exec/{id}/json", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"ID": "command", "ExitCode": 3})
	})
	mux.HandleFunc("POST /volumes/create", func(w http.ResponseWriter, r *http.Request) {
		var v struct{ Name, Driver string }
		_ = json.NewDecoder(r.Body).Decode(&v)
		reply(w, http.StatusCreated, v)
	})
	mux.HandleFunc("POST /networks/create", func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusConflict, "network with name shop exists already")
	})
}

func reply(w http.ResponseWriter, code int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(value)
}

func refuse(w http.ResponseWriter, code int, message string) {
	reply(w, code, map[string]string{"message": message})
}

// change changes the container of a request in the setting. A nil result of how removes it.
func (e *engine) change(r *http.Request, how func(c fakeContainer) *fakeContainer) (found bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var lines strings.Builder
	for _, c := range e.containers() {
		now := &c
		if c.id() == r.PathValue("id") {
			found, now = true, how(c)
		}
		if now != nil {
			fmt.Fprintln(&lines, now.name, now.image, now.state)
		}
	}
	path := e.fake.settings() + "/containers"
	return found && os.WriteFile(path+".new", []byte(lines.String()), 0o600) == nil && os.Rename(path+".new", path) == nil
}

func (e *engine) act(w http.ResponseWriter, r *http.Request, state string) {
	if !e.change(r, func(c fakeContainer) *fakeContainer { return &fakeContainer{c.name, c.image, state} }) {
		refuse(w, http.StatusNotFound, "No such container: "+r.PathValue("id"))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (e *engine) remove(w http.ResponseWriter, r *http.Request) {
	running := slices.ContainsFunc(e.containers(), func(c fakeContainer) bool { return c.id() == r.PathValue("id") && c.state == "running" })
	switch {
	case running && r.URL.Query().Get("force") == "":
		refuse(w, http.StatusConflict, "cannot remove container: container is running: stop the container before removing or force remove")
	case !e.change(r, func(fakeContainer) *fakeContainer { return nil }):
		refuse(w, http.StatusNotFound, "No such container: "+r.PathValue("id"))
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// loggedLines is how many lines a container writes as quickly as it can before it says that it is quiet.
const loggedLines = 20_000

// logs sends many lines at once, then one, and with follow waits for the client to leave.
func (e *engine) logs(w http.ResponseWriter, r *http.Request) {
	write := func(text string) {
		_, _ = w.Write(append(binary.BigEndian.AppendUint32([]byte{1, 0, 0, 0}, uint32(len(text))), text...))
	}
	if r.URL.Query().Get("follow") != "1" {
		write("tail " + r.URL.Query().Get("tail") + "\n")
		return
	}
	for i := range loggedLines {
		write(fmt.Sprintf("line %06d %s\n", i, strings.Repeat("x", 80)))
	}
	write("quiet\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// stats answers with a container that uses half of one processor.
func (e *engine) stats(w http.ResponseWriter, _ *http.Request) {
	now := time.Now()
	passed := now.Sub(started).Nanoseconds()
	reply(w, http.StatusOK, map[string]any{
		"read":         now,
		"cpu_stats":    map[string]any{"cpu_usage": map[string]int64{"total_usage": passed / 2}, "system_cpu_usage": 4 * passed, "online_cpus": 4},
		"memory_stats": map[string]int64{"usage": 64 << 20, "limit": 1 << 30},
		"pids_stats":   map[string]int64{"current": 3},
	})
}

// echo is a command with a terminal that says what it hears, and ends at "exit".
func echo(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n# ")
	for {
		line, err := buffered.ReadString('\n')
		if err != nil || strings.TrimSpace(line) == "exit" {
			return
		}
		_, _ = io.WriteString(conn, "heard "+line)
	}
}
