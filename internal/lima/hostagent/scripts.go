package hostagent

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/lima/ssh"
)

// scriptsTimeout bounds the wait for the guest's answer how its boot scripts went.
const scriptsTimeout = 30 * time.Second

// askScripts prints the output of this boot's scripts, which RDD's guest keeps in its journal and others in a file.
// After the line statusMark it prints the status of cloud-init, if the guest has that.
const askScripts = `
if [ -d /usr/lib/rdd ]; then
	journalctl --sync 2>/dev/null
	journalctl --boot --quiet --output cat --no-pager --unit rdd-provision
else
	for log in /var/log/cloud-init-output.log /var/log/lima-init.log; do
		[ ! -r "$log" ] || { tail -c 262144 "$log"; break; }
	done
fi
echo
echo "` + statusMark + `"
cat /run/cloud-init/status.json 2>/dev/null || true
`

const statusMark = "rdd: the status of cloud-init"

// runsScripts reports whether a guest may have to run any script that can fail.
func runsScripts(y *limayaml.LimaYAML) bool {
	return len(y.Provision) > 0 || len(y.AdditionalDisks) > 0 || *y.UpgradePackages || *y.HostResolver.Enabled ||
		*y.Containerd.System || *y.Containerd.User || *y.CACertificates.RemoveDefaults || len(y.CACertificates.Files)+len(y.CACertificates.Certs) > 0 ||
		*y.MountType != limayaml.REVSSHFS && len(y.Mounts) > 0
}

// failedScripts asks the guest which of its boot scripts have failed. Lima counts such a boot as a success.
func (h *hostagent) failedScripts(ctx context.Context, y *limayaml.LimaYAML) []string {
	if !runsScripts(y) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, scriptsTimeout)
	defer cancel()
	cmd := ssh.Command(ctx, h.vm, "sudo", "sh")
	cmd.Stdin = strings.NewReader(askScripts)
	out, err := cmd.Output()
	if err != nil {
		logrus.WithError(err).Warn("the guest could not be asked how its boot scripts went")
	}
	return failuresIn(string(out), y)
}

// These match what Lima's boot scripts and RDD's guest print when a script begins or has failed, and what Lima's print
// at the beginning of a boot. Source: Lima's cidata.TEMPLATE.d/boot.sh and build/guest's extras.sh.
var (
	scriptBegins = regexp.MustCompile(`^(?:LIMA [^|]*\| Executing|rdd: running) (\S+)`)
	scriptFailed = regexp.MustCompile(`^(?:LIMA [^|]*\| WARNING: Failed to execute|rdd: failed:) (\S+)(?:.*exit code (\d+))?`)
	bootBegins   = regexp.MustCompile(`^LIMA [^|]*\| (?:Executing \S+/boot/00-alpine-user-group\.sh|Plain mode\.)`)
)

// failuresIn lists what failed, by the output of the guest's boot scripts.
func failuresIn(said string, y *limayaml.LimaYAML) []string {
	said, status, _ := strings.Cut(said, "\n"+statusMark+"\n")
	var failed []string
	var since []string // the output since the last script began
	for line := range strings.Lines(said) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case bootBegins.MatchString(line):
			failed, since = nil, nil // what came before is of an earlier boot
		case scriptBegins.MatchString(line):
			since = nil
		case scriptFailed.MatchString(line):
			m := scriptFailed.FindStringSubmatch(line)
			if sentence := failureMessage(m[1], m[2], strings.Join(since, "\n"), y); sentence != "" {
				failed = append(failed, sentence)
			}
			since = nil
		default:
			since = append(since, line)
		}
	}
	for i, p := range y.Provision {
		if p.Mode == limayaml.ProvisionModeAnsible {
			failed = append(failed, fmt.Sprintf("provision[%d] (mode ansible) was not run: RDD runs no playbooks. Run it by hand over `rdd vm shell`, or use a script", i))
		}
	}
	return append(failed, cloudInitErrors(status)...)
}

// stepFields maps the steps of RDD's guest to the fields of a template that they carry out.
var stepFields = map[string]string{
	"run_boot_commands":  "a script of provision with mode boot",
	"trust_certificates": "caCerts",
	"upgrade_packages":   "upgradePackages",
	"attach_disks":       "additionalDisks",
	"redirect_dns":       "hostResolver",
	"mount_shares":       "mounts",
	"install_containerd": "containerd",
	"copy_files":         "a file of provision with mode data",
}

// failureMessage says that a script failed. It is empty for a step that runs several scripts, which are reported one
// by one.
func failureMessage(name, code, said string, y *limayaml.LimaYAML) string {
	folder, file := path.Base(path.Dir(name)), path.Base(name)
	what, hint := stepFields[name], ""
	if mode, ok := strings.CutPrefix(folder, "provision."); ok {
		what = "a script of provision with mode " + mode
		if i, err := strconv.Atoi(file); err == nil && i < len(y.Provision) {
			what = fmt.Sprintf("provision[%d] (mode %s)", i, mode)
			if strings.Contains(y.Provision[i].Script, "\r\n") {
				hint = ": " + crlfMessage
			}
		}
	} else if folder == "boot" {
		what = "Lima's boot script " + file
	}
	if what == "" {
		return ""
	}
	how := "failed"
	if code != "" {
		how = "ended with exit code " + code
	}
	if said = ssh.OutputTail(said, ""); said != "" {
		said = "\nit said: " + said
	}
	return fmt.Sprintf("%s has %s, so what it sets up may be missing in the guest%s%s", what, how, hint, said)
}

// cloudInitErrors lists cloud-init's errors in this boot, except those of scripts, which are reported one by one.
func cloudInitErrors(status string) []string {
	var s struct {
		V1 map[string]json.RawMessage `json:"v1"`
	}
	if json.Unmarshal([]byte(status), &s) != nil {
		return nil
	}
	var all []string
	for _, name := range []string{"init-local", "init", "modules-config"} { // modules-final runs the scripts
		var stage struct {
			Errors []string `json:"errors"`
		}
		if json.Unmarshal(s.V1[name], &stage) != nil {
			continue
		}
		for _, e := range stage.Errors {
			if sentence := "the guest's cloud-init says of its stage " + name + ": " + e; !slices.Contains(all, sentence) {
				all = append(all, sentence)
			}
		}
	}
	return all
}
