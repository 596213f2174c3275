package hostagent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// waiting is what Lima's log makes of an agent whose template has the probes.
func waiting(probes ...limayaml.Probe) (r *requirements, log func(level logrus.Level, format string, a ...any), events func() []event.Event) {
	var out strings.Builder
	a := &hostagent{w: event.NewWriter(&out)}
	a.requirements = &requirements{hostagent: a, probes: probes}
	log = func(level logrus.Level, format string, args ...any) {
		_ = a.requirements.Fire(&logrus.Entry{Level: level, Message: fmt.Sprintf(format, args...)})
	}
	events = func() (all []event.Event) {
		_ = event.Read(strings.NewReader(out.String()), func(e event.Event) { all = append(all, e) }, func(string) {})
		return all
	}
	return a.requirements, log, events
}

// result logs, as Lima does, how a script in the guest ended.
func result(log func(logrus.Level, string, ...any), stderr string, err error) {
	log(logrus.DebugLevel, "stdout=%q, stderr=%q, err=%v", "", stderr, err)
}

const waitLine = "Waiting for the %s requirement %d of %d: %q"

func TestBootWithoutLoginsReportsTheOutputOfSSH(t *testing.T) {
	_, log, events := waiting()
	log(logrus.InfoLevel, waitLine, "essential", 1, 2, "ssh")
	result(log, "@@@@@@@@@@@@\n@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\nPermissions 0644 for '/l/_config/user' are too open.\nrdd@127.0.0.1: Permission denied (publickey).\n",
		fmt.Errorf("failed to execute script %q: exit status 255", "ssh"))
	all := events()
	if len(all) != 1 || all[0].Phase != event.Boot || !strings.Contains(all[0].Said, "Permissions 0644 for '/l/_config/user' are too open.") {
		t.Fatalf("%+v", all)
	}
}

func TestProbeThatFailsIsReportedWhileTheStartWaitsForIt(t *testing.T) {
	_, log, events := waiting(limayaml.Probe{Description: "web answers", Hint: "see /var/log/web", Script: "#!/bin/sh\r\nfalse\r\n"})
	for range 2 { // Lima says so at each attempt
		log(logrus.InfoLevel, waitLine, "optional", 3, 3, "web answers")
		result(log, "curl: connection refused\n", fmt.Errorf("failed to execute script %q: exit status 7", "web answers"))
	}
	all := events()
	if len(all) != 3 {
		t.Fatalf("%+v", all)
	}
	last := all[2]
	if last.Phase != event.Guest || last.Said != "curl: connection refused" {
		t.Errorf("%+v", last)
	}
	for _, part := range []string{`probes[0] "web answers"`, "see /var/log/web", "CR LF", "for 10 minutes"} {
		if !strings.Contains(last.Message, part) {
			t.Errorf("%q lacks %q", last.Message, part)
		}
	}
}

// What was satisfied is forgotten; what was not is told once, in our words, and Lima's other errors stay.
func TestProbeThatNeverSucceededIsReportedForTheRunningVM(t *testing.T) {
	r, log, _ := waiting(limayaml.Probe{Description: "fine"}, limayaml.Probe{Description: "web answers", Hint: "see the log"})
	log(logrus.InfoLevel, waitLine, "essential", 1, 1, "ssh")
	log(logrus.InfoLevel, "The %s requirement %d of %d is satisfied", "essential", 1, 1)
	log(logrus.InfoLevel, waitLine, "optional", 1, 2, "fine")
	log(logrus.InfoLevel, "The %s requirement %d of %d is satisfied", "optional", 1, 2)
	log(logrus.InfoLevel, waitLine, "optional", 2, 2, "web answers")
	script := fmt.Errorf("failed to execute script %q: stdout=%q, stderr=%q: exit status 1", "web answers", "", "+ false\nnot yet\n")
	result(log, "+ false\nnot yet\n", script)
	log(logrus.InfoLevel, waitLine, "final", 1, 1, "boot scripts must have finished")
	log(logrus.InfoLevel, "The %s requirement %d of %d is satisfied", "final", 1, 1)
	lima := fmt.Errorf("failed to satisfy the %s requirement %d of %d %q: %s: %w", "optional", 2, 2, "web answers", "see the log",
		fmt.Errorf("stdout=%q, stderr=%q: %w", "", "+ false\nnot yet\n", script))
	got := r.problems([]string{lima.Error() + "\nguest agent does not seem to be running"})
	want := []string{
		"probes[1] \"web answers\" never succeeded, so what it checks is not ready. see the log\nit said: not yet",
		"guest agent does not seem to be running",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q", got)
	}
}

func TestScriptResultIsRead(t *testing.T) {
	out, stderr, failure, ok := scriptResult(fmt.Sprintf("stdout=%q, stderr=%q, err=%v", `a", err=b`, "c\n", nil))
	if !ok || out != `a", err=b` || stderr != "c\n" || failure != "" {
		t.Error(out, stderr, failure, ok)
	}
	if _, _, _, ok := scriptResult("stdout=garbage"); ok {
		t.Error("garbage was read")
	}
}
