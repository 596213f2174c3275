package page

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/app/operation"
	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/template"
	"rancherdesktop.io/rdd/internal/testenv"
)

// The page creates a VM, changes it, and deletes it.
func TestLifeOfAVM(t *testing.T) {
	e := newEnv(t)
	e.sees("no instance", func(s State) bool { return s.Service.State == core.ServiceNotCreated && !s.VMsKnown })
	e.becomes(e.begin("service.start", `{}`), "done")
	e.sees("a service", func(s State) bool { return s.Service.State == core.ServiceRunning && s.VMsKnown })

	e.set("prepare", "2s")
	id := e.begin("vm.create", `{"name": "demo", "template": %q, "resources": {"cpus": 1, "memory": 1073741824, "disk": 2147483648}, "start": true}`, e.template)
	e.sees("progress in bytes", func(s State) bool {
		return slices.ContainsFunc(s.Operations, func(o operation.Operation) bool { return o.ID == id && o.Progress.Total > 0 && o.Progress.Elapsed > 0 })
	})
	s := e.becomes(id, "done")
	e.sees("a VM that runs", vmIs("demo", "Running"))
	if o := s.Operations[len(s.Operations)-1]; o.Title != "Create virtual machine demo" || o.Log == nil {
		t.Errorf("%+v", o)
	}
	var text VersionedText
	e.call("vm.template", `{"name": "demo"}`, &text)
	if text.Text != "images: []\ncpus: 1\nmemory: 1GiB\ndisk: 2GiB\n" || text.Version == "" {
		t.Errorf("%+v", text)
	}
	e.becomes(e.begin("vm.stop", `{"name": "demo"}`), "done")
	e.sees("a VM that is stopped", vmIs("demo", "Stopped"))
	e.becomes(e.begin("vm.reset", `{"name": "demo"}`), "done")
	e.becomes(e.begin("vm.delete", `{"name": "demo"}`), "done")
	e.sees("no VM", vmIs("demo", ""))
	s = e.becomes(e.begin("vm.start", `{"name": "demo"}`), "failed")
	if p := s.Operations[len(s.Operations)-1].Problem; p.Kind != "not-found" || p.Log == "" {
		t.Errorf("%+v", p)
	}
	e.becomes(e.begin("service.stop", `{}`), "done")
	e.sees("a stopped service", func(s State) bool { return s.Service.State == core.ServiceStopped && !s.VMsKnown })
	var backups []core.Backup
	e.call("service.backups", `{}`, &backups)
	if len(backups) != 1 || backups[0].Size == 0 || backups[0].Problem != "" {
		t.Errorf("%+v", backups)
	}
	if _, problem := e.api.Call(t.Context(), "service.restore", []byte(`{"backup": "/etc/passwd"}`)); problem == nil || problem.Field != "backup" {
		t.Error(problem)
	}
	e.becomes(e.begin("service.restore", `{"backup": %q}`, backups[0].Name), "done")
}

func TestANewVMIsCheckedBeforeItIsCreated(t *testing.T) {
	e := newEnv(t)
	e.becomes(e.begin("service.start", `{}`), "done")
	var wrong []FieldProblem
	e.call("vm.check", `{"name": "Bad Name", "template": ""}`, &wrong)
	if len(wrong) != 2 || wrong[0].Field != "name" || wrong[1].Field != "template" {
		t.Error(wrong)
	}
	for text, field := range map[string]string{"images: []\\nrefused: cpus\\n": "cpus", "images: []\\nrefused: images[0].digest\\n": "template", "images: []\\n": ""} {
		e.call("vm.check", fmt.Sprintf(`{"name": "demo", "template": "", "text": "%s"}`, text), &wrong)
		if field == "" && len(wrong) != 0 || field != "" && (len(wrong) != 1 || wrong[0].Field != field) {
			t.Errorf("%s: %+v", text, wrong)
		}
	}
	e.call("vm.check", `{"name": "demo", "template": "", "text": "refused: images[0].digest\n"}`, &wrong)
	if len(wrong) != 1 || !strings.HasPrefix(wrong[0].Message, "images[0].digest: ") {
		t.Errorf("Lima's field is not named: %v", wrong)
	}
	e.call("vm.check", `{"name": "demo", "template": "", "text": "refused: param.Greeting\n", "params": {"Greeting": "x"}}`, &wrong)
	if len(wrong) != 1 || wrong[0].Field != "params.Greeting" || strings.Contains(wrong[0].Message, "param.Greeting") {
		t.Errorf("a param that is refused: %v", wrong)
	}
	e.call("vm.check", `{"name": "demo", "template": "", "text": "images: []\n", "resources": {"cpus": 0, "memory": 1073741824, "disk": 1}}`, &wrong)
	if len(wrong) != 1 || wrong[0].Field != "cpus" || !strings.Contains(wrong[0].Message, "between 1 and") {
		t.Error(wrong)
	}
	e.becomes(e.begin("vm.create", `{"name": "demo", "template": %q, "start": false}`, e.template), "done")
	e.call("vm.check", fmt.Sprintf(`{"name": "demo", "template": %q}`, e.template), &wrong)
	if len(wrong) != 1 || wrong[0].Field != "name" {
		t.Errorf("a name that is taken: %v", wrong)
	}
}

func TestChangesOfAVMAreCheckedAndNeedARestart(t *testing.T) {
	e := newEnv(t)
	e.becomes(e.begin("service.start", `{}`), "done")
	e.becomes(e.begin("vm.create", `{"name": "demo", "template": %q, "resources": {"cpus": 1, "memory": 1073741824, "disk": 2147483648}, "start": true}`, e.template), "done")
	var wrong []FieldProblem
	var text VersionedText
	e.call("vm.template", `{"name": "demo"}`, &text)
	e.call("vm.checkTemplate", `{"name": "demo", "text": "images: []\nrefused: cpus\n"}`, &wrong)
	if len(wrong) != 1 || wrong[0].Field != "template" || !strings.HasPrefix(wrong[0].Message, "cpus: ") {
		t.Errorf("a text that is refused: %v", wrong)
	}
	e.call("vm.checkTemplate", `{"name": "demo", "text": "images: []\ncpus: 3\n"}`, &wrong)
	if again := text; len(wrong) != 0 {
		t.Error(wrong)
	} else if e.call("vm.template", `{"name": "demo"}`, &again); again != text {
		t.Errorf("a check has changed it: %+v", again)
	}

	e.becomes(e.begin("vm.setTemplate", `{"name": "demo", "version": %q, "text": "images: []\ncpus: 1\nmemory: 3GiB\nmounts: []\n"}`, text.Version), "done")
	s := e.sees("what needs a restart", func(s State) bool { return len(s.VMs) == 1 && len(s.VMs[0].RestartNeeded) > 0 })
	if got := strings.Join(s.VMs[0].RestartNeeded, "; "); got != "memory 1GiB → 3GiB; disk 2GiB → 100GiB; mounts in the template" {
		t.Error(got)
	}
	e.becomes(e.begin("vm.setParams", `{"name": "demo", "set": {"Greeting": "hi", "Farewell": "bye"}, "remove": []}`), "done")
	for change, want := range map[string][]FieldProblem{
		`"set": {"Greeting": "refused"}, "remove": []`:         {{"params.Greeting", "the test refuses this value"}},
		`"set": {"Greeting": "hello"}, "remove": ["Farewell"]`: {},
	} {
		e.call("vm.checkParams", `{"name": "demo", `+change+`}`, &wrong)
		if !slices.Equal(wrong, want) {
			t.Errorf("%s: %+v", change, wrong)
		}
	}
	var params []template.Param
	if e.call("vm.params", `{"name": "demo"}`, &params); len(params) != 2 || params[1].Value != "hi" {
		t.Errorf("a check has changed the params: %+v", params)
	}
	e.becomes(e.begin("vm.setParams", `{"name": "demo", "set": {}, "remove": ["Greeting", "Farewell"]}`), "done")
	var r core.VMResources
	e.call("vm.resources", `{"name": "demo"}`, &r)
	if !r.Pending || r.Current == nil || r.Current.Memory != 1<<30 || r.Next.Memory != 3<<30 || r.Min.CPUs != 1 || r.Max.CPUs < 1 {
		t.Errorf("%+v", r)
	}
	s = e.becomes(e.begin("vm.setTemplate", `{"name": "demo", "version": %q, "text": "images: []\n"}`, text.Version), "failed")
	if p := s.Operations[len(s.Operations)-1].Problem; p.Kind != "rejected" || !strings.Contains(p.Message, "in the meantime") {
		t.Errorf("%+v", p)
	}
	e.becomes(e.begin("vm.restart", `{"name": "demo"}`), "done")
	e.sees("that nothing needs a restart", func(s State) bool { return len(s.VMs) == 1 && len(s.VMs[0].RestartNeeded) == 0 })
}

func TestStartAtLoginIsShownAndCanBeDisabled(t *testing.T) {
	e := newEnv(t)
	kept := func() string {
		for _, part := range e.api.State().Login {
			if part.Part == core.LoginService {
				return part.Path
			}
		}
		t.Fatal("the state has no path of the service's entry")
		return ""
	}
	e.call("settings.set", `{"startAtLogin": true}`, nil)
	e.sees("that the service starts at login", func(s State) bool { return s.Settings.StartAtLogin && !s.Settings.TrayAtLogin })
	if _, err := os.Stat(kept()); err != nil {
		t.Error(err)
	}
	e.call("settings.set", `{"startAtLogin": false}`, nil)
	e.sees("that it doesn't", func(s State) bool { return !s.Settings.StartAtLogin })
	if _, err := os.Stat(kept()); !os.IsNotExist(err) {
		t.Errorf("the entry is still there: %v", err)
	}
}

// asked returns whether the question of an operation is open.
func asked(id string) func(State) bool {
	return func(s State) bool { return s.Question != nil && s.Question.Operation == id }
}

func unasked(s State) bool { return s.Question == nil }

func (e *env) answer(id, answer string) {
	e.Helper()
	e.call("operation.answer", fmt.Sprintf(`{"id": %q, "answer": %q}`, id, answer), nil)
}

// Each answer to a timeout question does what its button says. A question closes when its operation ends.
func TestTimeoutsAskAndEachAnswerDoesWhatItSays(t *testing.T) {
	e := newEnvWithTimeout(t)

	// The VM runs while the question is open: the question closes by itself.
	e.set("boot", "late")
	id := e.begin("vm.start", `{"name": "demo"}`)
	s := e.sees("a question with a step", func(s State) bool { return asked(id)(s) && strings.Contains(s.Question.Text, "Last step: ") })
	if q := s.Question; q.Extend != 1 || q.Waited < 1 || q.Force == "" {
		t.Errorf("%+v", q)
	}
	e.set("booted", "")
	e.becomes(id, "done")
	e.sees("no question", unasked)
	if _, problem := e.api.Call(t.Context(), "operation.answer", []byte(fmt.Sprintf(`{"id": %q, "answer": "force"}`, id))); problem == nil || problem.Kind != "rejected" {
		t.Errorf("an answer that came too late: %+v", problem)
	}
	e.sees("a VM that still runs", vmIs("demo", "Running"))

	// Keep waiting: it is asked again after the same time.
	e.set("stop", "slow")
	id = e.begin("vm.stop", `{"name": "demo"}`)
	e.sees("a question", asked(id))
	e.answer(id, "keep")
	e.sees("no question", unasked)
	e.sees("the question again", asked(id))
	e.answer(id, "keep")
	e.set("stopped", "")
	e.becomes(id, "done")

	// Stop waiting: the wait ends, the start continues.
	for _, setting := range []string{"booted", "stopped"} {
		if err := e.lima.Unset(setting); err != nil {
			t.Fatal(err)
		}
	}
	id = e.begin("vm.start", `{"name": "demo"}`)
	e.sees("a question", asked(id))
	e.answer(id, "stop-waiting")
	e.becomes(id, "abandoned")
	e.sees("a VM that starts", vmIs("demo", "Starting"))
	e.set("booted", "")
	e.sees("a VM that runs", vmIs("demo", "Running"))

	// Force stop: a guest that doesn't power off is killed.
	e.set("stop", "deaf")
	e.set("qemu", "deaf")
	id = e.begin("vm.stop", `{"name": "demo"}`)
	e.sees("a question", asked(id))
	e.answer(id, "force")
	e.becomes(id, "done")
	e.sees("a VM that is stopped", vmIs("demo", "Stopped"))
}

func TestForceStopAndCancelOfAStart(t *testing.T) {
	e := newEnvWithTimeout(t)
	e.set("boot", "late")

	// Force stop of a start: the start ends, and the VM stops.
	id := e.begin("vm.start", `{"name": "demo"}`)
	e.sees("a question", asked(id))
	e.answer(id, "force")
	e.becomes(id, "abandoned")
	e.sees("a VM that is stopped", vmIs("demo", "Stopped"))
	e.sees("no question", unasked)

	// Cancel: a start becomes a stop.
	id = e.begin("vm.start", `{"name": "demo"}`)
	e.sees("a VM that starts", vmIs("demo", "Starting"))
	e.call("operation.cancel", fmt.Sprintf(`{"id": %q}`, id), nil)
	e.becomes(id, "abandoned")
	e.sees("a VM that is stopped", vmIs("demo", "Stopped"))
	e.call("operation.dismiss", fmt.Sprintf(`{"id": %q}`, id), nil)
	e.sees("that it is forgotten", func(s State) bool {
		raw, _ := json.Marshal(s.Operations)
		return !strings.Contains(string(raw), fmt.Sprintf(`"id":%q`, id))
	})
}

// Force stop in a stop of the service: all guests are killed.
func TestForceStopOfTheService(t *testing.T) {
	e := newEnv(t)
	e.becomes(e.begin("service.start", `{}`), "done")
	e.becomes(e.begin("vm.create", `{"name": "demo", "template": %q, "start": true}`, e.template), "done")
	e.call("settings.set", `{"serviceTimeout": 1}`, nil)
	e.set("stop", "deaf")
	id := e.begin("service.stop", `{}`)
	s := e.sees("a question", asked(id))
	if !strings.Contains(s.Question.Force, "lost") {
		t.Errorf("%+v", s.Question)
	}
	e.call("operation.answer", fmt.Sprintf(`{"id": %q, "answer": "force"}`, id), nil)
	e.becomes(id, "done")
	e.sees("a stopped service", func(s State) bool { return s.Service.State == core.ServiceStopped })
}

// A canceled creation deletes or stops the new VM, as the user chooses.
func TestACanceledCreationDeletesOrStopsTheVM(t *testing.T) {
	e := newEnv(t)
	e.becomes(e.begin("service.start", `{}`), "done")
	e.sees("a service", func(s State) bool { return s.VMsKnown })
	e.set("boot", "late")
	cancel := func(more string) {
		t.Helper()
		id := e.begin("vm.create", `{"name": "demo", "template": %q, "start": true}`, e.template)
		e.sees("a VM that starts", vmIs("demo", "Starting"))
		var undo Undo
		e.call("operation.cancel", fmt.Sprintf(`{"id": %q%s}`, id, more), &undo)
		e.becomes(id, "abandoned")
		e.becomes(undo.Operation, "done")
	}
	cancel(`, "delete": true`)
	e.sees("no VM", vmIs("demo", ""))
	cancel("")
	e.sees("a VM that is stopped", vmIs("demo", "Stopped"))

	// Canceled before the VM was seen, or even before it was created.
	for n := range 5 {
		name := fmt.Sprintf("unseen%d", n)
		id := e.begin("vm.create", `{"name": %q, "template": %q, "start": true}`, name, e.template)
		var undo Undo
		e.call("operation.cancel", fmt.Sprintf(`{"id": %q, "delete": true}`, id), &undo)
		e.becomes(id, "abandoned")
		e.becomes(undo.Operation, "done")
	}
	session, err := core.New(e.inst, "test").Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if vms, err := session.VMs().List(t.Context()); err != nil || len(vms) != 1 {
		t.Errorf("want demo only: %v, %v", vms, err)
	}
}

func TestParamsOfATemplateAreKnownBeforeAVMIsCreated(t *testing.T) {
	e := newEnv(t)
	if err := os.WriteFile(e.template, []byte("images: []\nparam:\n  B: two\n  A: ''\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for params, want := range map[string][]template.Param{
		fmt.Sprintf(`{"locator": %q}`, e.template):                            {{Name: "A"}, {Name: "B", Value: "two", Default: "two"}},
		fmt.Sprintf(`{"locator": %q, "text": "param: {C: '3'}"}`, e.template): {{Name: "C", Value: "3", Default: "3"}},
		fmt.Sprintf(`{"locator": %q, "text": "images: []"}`, e.template):      {},
	} {
		var got []template.Param
		if e.call("template.params", params, &got); !slices.Equal(got, want) || got == nil {
			t.Errorf("%s: %+v", params, got)
		}
	}
	for _, params := range []string{`{"locator": "/no/such.yaml"}`, `{"locator": "x", "text": "param: ["}`} {
		if _, problem := e.api.Call(t.Context(), "template.params", []byte(params)); problem == nil {
			t.Error("no problem with", params)
		}
	}
}

func TestAServiceThatIsKilledWhileThePageIsOpen(t *testing.T) {
	e := newEnv(t)
	e.becomes(e.begin("service.start", `{}`), "done")
	e.becomes(e.begin("vm.create", `{"name": "demo", "template": %q, "start": true}`, e.template), "done")
	e.killService()
	e.sees("no service", func(s State) bool {
		return s.Service.State == core.ServiceStopped && s.Service.Error != "" && !s.VMsKnown
	})
	if _, problem := e.api.Call(t.Context(), "vm.template", []byte(`{"name": "demo"}`)); problem == nil || !strings.Contains(problem.Message, "rdd svc start") {
		t.Errorf("%+v", problem)
	}
	var report Report
	e.call("diagnose", `{}`, &report)
	i := slices.IndexFunc(report.Findings, func(f Finding) bool { return f.Repair == "Restart the service" })
	if i < 0 {
		t.Fatalf("%+v", report.Findings)
	}
	e.becomes(e.begin("diagnose.repair", `{"id": %q}`, report.Findings[i].ID), "done")
	e.sees("all as before", func(s State) bool { return s.VMsKnown && vmIs("demo", "Running")(s) })
}

func TestLogsShellsAndBundlesAtThePage(t *testing.T) {
	e := newEnv(t)
	e.becomes(e.begin("service.start", `{}`), "done")
	e.becomes(e.begin("vm.create", `{"name": "demo", "template": %q, "start": true}`, e.template), "done")
	open := func(method, params string) string {
		t.Helper()
		var s StreamRef
		e.call(method, params, &s)
		return s.Stream
	}
	log := open("log.open", `{"source": "service"}`)
	e.reads(log, "level=INFO")
	serial := filepath.Join(e.inst.LimaHome(), "demo", "serial.log")
	console := open("log.open", `{"source": "serial", "vm": "demo"}`)
	f, err := os.OpenFile(serial, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("<b>hällo</b>\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	e.reads(console, "<b>hällo</b>\n")
	e.call("stream.close", fmt.Sprintf(`{"stream": %q}`, console), nil)
	e.ends(console)
	for params, field := range map[string]string{`{"source": "serial"}`: "vm", `{"name": "demo", "cols": 0, "rows": 1}`: "cols"} {
		method := "log.open"
		if strings.Contains(params, "cols") {
			method = "shell.open"
		}
		if _, problem := e.api.Call(t.Context(), method, []byte(params)); problem == nil || problem.Field != field {
			t.Errorf("%s: %+v", params, problem)
		}
	}

	var preview BundlePreview
	e.call("bundle.preview", `{}`, &preview)
	if len(preview.Files) < 5 {
		t.Fatalf("%+v", preview)
	}
	var text Text
	e.call("bundle.file", fmt.Sprintf(`{"bundle": %q, "name": "findings.json"}`, preview.Bundle), &text)
	if !strings.Contains(text.Text, `"findings"`) {
		t.Error(text)
	}
	var saved Path
	e.call("bundle.save", fmt.Sprintf(`{"bundle": %q}`, preview.Bundle), &saved)
	if info, err := os.Stat(saved.Path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(saved, err)
	}
	if _, problem := e.api.Call(t.Context(), "bundle.save", []byte(fmt.Sprintf(`{"bundle": %q, "path": %q}`, preview.Bundle, saved.Path))); problem == nil || problem.Field != "path" {
		t.Errorf("a file was overwritten: %+v", problem)
	}
	var usage []Usage
	e.sees("a VM that runs", vmIs("demo", "Running"))
	e.call("usage", `{}`, &usage)
	if len(usage) != 2 || usage[0].Name != "" || usage[0].Memory == 0 || usage[1].Name != "demo" {
		t.Errorf("%+v", usage)
	}
	e.call("stream.close", fmt.Sprintf(`{"stream": %q}`, log), nil)
	e.ends(log)
}

func TestShellAtThePage(t *testing.T) {
	e := newEnv(t)
	e.becomes(e.begin("service.start", `{}`), "done")
	e.becomes(e.begin("vm.create", `{"name": "demo", "template": %q, "start": true}`, e.template), "done")
	var first, second StreamRef
	e.call("shell.open", `{"name": "demo", "cols": 80, "rows": 24}`, &first)
	types := func(s StreamRef, text string) {
		t.Helper()
		e.call("stream.write", fmt.Sprintf(`{"stream": %q, "data": %q}`, s.Stream, text), nil)
	}
	types(first, "stty size; echo $TERM $((6*7))\n")
	e.reads(first.Stream, "24 80")
	e.reads(first.Stream, "xterm-256color 42")
	e.call("stream.resize", fmt.Sprintf(`{"stream": %q, "cols": 100, "rows": 30}`, first.Stream), nil)
	types(first, "stty size\n")
	e.reads(first.Stream, "30 100")
	types(first, "yes | head -n 500000; echo all of it\n") // more than anybody buffers
	e.streams(first.Stream, "had everything", func(text string, _ bool) bool {
		return strings.Contains(text, "all of it\r\n") && strings.Count(text, "y\r\n") >= 500000
	})
	types(first, "exit\n")
	e.ends(first.Stream)

	e.call("shell.open", `{"name": "demo", "cols": 80, "rows": 24}`, &second)
	types(second, "echo $((6*7))\n")
	e.reads(second.Stream, "42")
	e.call("stream.close", fmt.Sprintf(`{"stream": %q}`, second.Stream), nil) // the end of the test looks for its process
	e.ends(second.Stream)
	if _, problem := e.api.Call(t.Context(), "stream.write", []byte(fmt.Sprintf(`{"stream": %q, "data": "x"}`, second.Stream))); problem == nil || problem.Kind != "not-found" {
		t.Errorf("%+v", problem)
	}
	if _, problem := e.api.Call(t.Context(), "shell.open", []byte(`{"name": "none", "cols": 80, "rows": 24}`)); problem == nil || problem.Kind != "not-found" {
		t.Errorf("%+v", problem)
	}
}

// Closing the page ends the waiting, never the work, and leaves nothing running in the program.
func TestClosingThePageEndsWaitsAndNotTheWork(t *testing.T) {
	e := newEnv(t)
	closePage := e.open()
	e.becomes(e.begin("service.start", `{}`), "done")
	e.set("boot", "late")
	e.begin("vm.create", `{"name": "demo", "template": %q, "start": true}`, e.template)
	e.sees("a VM that starts", vmIs("demo", "Starting"))
	var log StreamRef
	e.call("log.open", `{"source": "service"}`, &log)
	e.reads(log.Stream, "level=INFO")
	before := len(goroutines())
	closePage()
	e.set("booted", "")
	session, err := core.New(e.inst, "test").Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := session.VMs().Start(t.Context(), "demo", core.Wait{Timeout: testenv.Timeout}); err != nil {
		t.Error("the VM did not start: ", err)
	}
	// The other page of newEnv stays open; the rest belongs to it.
	if after := goroutines(); len(after) >= before || len(after) > 6 {
		t.Errorf("%d goroutines before, %d after:\n%s", before, len(after), strings.Join(after, "\n\n"))
	}
}

func TestAnotherInstanceIsShownAndNothingIsCreated(t *testing.T) {
	e := newEnv(t)
	e.becomes(e.begin("service.start", `{}`), "done")
	var s State
	e.call("instance.open", `{"name": "other"}`, &s)
	if s.Instance != "other" || s.Service.State != core.ServiceNotCreated || !slices.Equal(s.Instances, []string{"default", "other"}) || len(s.Operations) != 0 {
		t.Errorf("%+v", s)
	}
	names, err := core.Instances()
	if err != nil || !slices.Equal(names, []string{"default"}) {
		t.Error(names, err)
	}
	if _, problem := e.api.Call(t.Context(), "instance.open", []byte(`{"name": "Not A Name"}`)); problem == nil || problem.Field != "name" {
		t.Error(problem)
	}
	e.call("instance.open", `{"name": "default"}`, &s)
	if s.Instance != "default" || s.Service.State != core.ServiceRunning || len(s.Operations) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestChangeOfOneOfFiftyVMsReachesThePage(t *testing.T) {
	e := newEnv(t)
	e.becomes(e.begin("service.start", `{}`), "done")
	session, err := core.New(e.inst, "test").Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	vms := session.VMs()
	for i := range 50 {
		if err := vms.Create(t.Context(), fmt.Sprint("vm-", i), core.CreateOptions{Template: e.template, Start: true}, core.Wait{Accepted: true}); err != nil {
			t.Fatal(err)
		}
	}
	e.sees("fifty VMs that run", func(s State) bool {
		return len(s.VMs) == 50 && !slices.ContainsFunc(s.VMs, func(vm VM) bool { return vm.State != "Running" })
	})
	for i := range 50 {
		name, value := fmt.Sprint("vm-", i), fmt.Sprint(i)
		if err := vms.SetParams(context.Background(), name, map[string]string{"n": value}, nil, core.Wait{Accepted: true}); err != nil {
			t.Fatal(err)
		}
		e.sees("the change", func(s State) bool {
			return slices.ContainsFunc(s.VMs, func(vm VM) bool { return vm.Name == name && slices.Contains(vm.RestartNeeded, "param n") })
		})
	}
}

func TestTheLogLevelTakesEffectAtTheNextStart(t *testing.T) {
	e := newEnv(t)
	e.call("settings.set", `{"logLevel": "error"}`, nil)
	e.becomes(e.begin("service.start", `{}`), "done")
	if text, err := os.ReadFile(e.inst.ServiceLog()); err == nil && len(text) > 0 {
		t.Errorf("with the level error: %s", text)
	}
	e.call("settings.set", `{"logLevel": "info"}`, nil)
	e.becomes(e.begin("service.restart", `{}`), "done")
	testenv.Eventually(t, "the service has written that it is ready", func() bool { // clients may know it first
		text, _ := os.ReadFile(e.inst.ServiceLog())
		return strings.Contains(string(text), "level=INFO msg=ready")
	})
}
