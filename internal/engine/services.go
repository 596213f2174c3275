package engine

import (
	"fmt"
	"strings"
)

// Variable is the guest's environment variable with the engine that it runs. Without it, that is Moby.
const Variable = "RDD_ENGINE"

// Finding is what the guest says of an engine that doesn't answer.
type Finding struct {
	Words  string // sentences for people; empty when the guest knows no reason
	Failed bool   // it has given up starting the engine
}

// services are those of the guest that an engine needs, in the order of their start.
var services = map[string][]string{
	Moby:       {"rdd-data", "containerd", "docker"},
	Containerd: {"rdd-data", "containerd"},
}

// ServicesScript is a command for the guest. It prints nothing when the services that an engine needs run. Else it prints, of the
// first that doesn't, its name, whether it is masked, its state, how often it was restarted, and the state of the whole system,
// and then the last line that its own program has logged.
func ServicesScript(name string) string {
	return "for u in " + strings.Join(services[name], " ") + "; do s=$(systemctl show --value -p LoadState -p SubState -p NRestarts $u | xargs); " +
		`case " $s " in *" running "*|*" exited "*) continue;; esac; echo "$u $s" $(systemctl is-system-running); ` +
		"sudo -n journalctl -b -q -o cat -n 1 --no-pager _SYSTEMD_UNIT=$u.service; exit; done"
}

// ServicesLog is a command for the guest that prints what these services have logged since the boot.
func ServicesLog(name string) string {
	return "sudo -n journalctl -b -q -o short-monotonic -n 1000 --no-pager -u " + strings.Join(services[name], " -u ")
}

// FindingOf reads what ServicesScript has printed.
func FindingOf(said string) Finding {
	head, log, _ := strings.Cut(strings.TrimSpace(said), "\n")
	service, states, _ := strings.Cut(head, " ")
	is := func(word string) bool { return strings.Contains(" "+states+" ", " "+word+" ") }
	var found Finding
	switch {
	case states == "":
		return Finding{}
	case is("masked"):
		return Finding{Words: fmt.Sprintf("In the virtual machine, the service %s is masked, so it can't start; unmask it there with: sudo systemctl unmask %[1]s.", service), Failed: true}
	case is("failed") && (is("starting") || is("initializing")): // the guest starts it early, and again with the rest of the system
		found.Words = fmt.Sprintf("In the virtual machine, the service %s could not start. It is tried again at the end of the boot.", service)
	case is("failed"):
		found = Finding{Words: fmt.Sprintf("In the virtual machine, the service %s could not start, and nothing tries it again.", service), Failed: true}
	case is("0") && !is("auto-restart"): // it starts for the first time
		return Finding{}
	default:
		found.Words = fmt.Sprintf("In the virtual machine, the service %s ends again and again.", service)
	}
	if log = strings.Join(strings.Fields(strings.ToValidUTF8(log, "?")), " "); log != "" {
		found.Words += " It said last: " + strings.TrimSuffix(log, ".") + "."
	}
	return found
}
