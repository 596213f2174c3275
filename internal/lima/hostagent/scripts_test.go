package hostagent

import (
	"strings"
	"testing"

	"github.com/lima-vm/lima/pkg/limayaml"
)

func TestProvisionScriptsThatFailAreNamed(t *testing.T) {
	y := &limayaml.LimaYAML{Provision: []limayaml.Provision{
		{Mode: limayaml.ProvisionModeSystem, Script: "#!/bin/sh\nexit 7\n"},
		{Mode: limayaml.ProvisionModeUser, Script: "#!/bin/sh\r\ntrue\r\n"},
		{Mode: limayaml.ProvisionModeAnsible},
	}}
	for name, tc := range map[string]struct {
		said string
		want []string // parts of each sentence
	}{
		"RDD's guest": {
			"rdd: running provision.system/00000000\nno such package\nrdd: failed: provision.system/00000000 (exit code 7)\n" +
				"rdd: failed: run_system_scripts\nrdd: running provision.user/00000001\nsudo: unable to execute: No such file\nrdd: failed: provision.user/00000001 (exit code 1)\nrdd: failed: run_user_scripts\n\n" + statusMark + "\n",
			[]string{"provision[0] (mode system) has ended with exit code 7|it said: no such package", "provision[1] (mode user) has ended with exit code 1|CR LF|unable to execute", "provision[2] (mode ansible) was not run"},
		},
		"a guest with cloud-init": {
			"LIMA 2026-01-01T00:00:00+00:00| Executing /mnt/lima-cidata/boot/00-alpine-user-group.sh\nLIMA 2026-01-01T00:00:00+00:00| WARNING: Failed to execute /mnt/lima-cidata/boot/40-install-containerd.sh\n" +
				"LIMA 2026-01-02T00:00:00+00:00| Executing /mnt/lima-cidata/boot/00-alpine-user-group.sh\n" +
				"LIMA 2026-01-02T00:00:00+00:00| Executing /mnt/lima-cidata/provision.system/00000000\noh no\nLIMA 2026-01-02T00:00:01+00:00| WARNING: Failed to execute /mnt/lima-cidata/provision.system/00000000\n" +
				"LIMA 2026-01-02T00:00:00+00:00| Executing /mnt/lima-cidata/provision.user/00000001 (as user j)\nLIMA 2026-01-02T00:00:01+00:00| WARNING: Failed to execute /mnt/lima-cidata/provision.user/00000001 (as user j)\n" +
				"LIMA 2026-01-02T00:00:00+00:00| Exiting with code 1\n\n" + statusMark + "\n" +
				`{"v1": {"init": {"errors": ["bootcmd failed"]}, "modules-final": {"errors": ["scripts_per_boot"]}, "stage": null, "datasource": "DataSourceNoCloud"}}`,
			[]string{"provision[0] (mode system) has failed|it said: oh no", "provision[1] (mode user) has failed|CR LF", "provision[2] (mode ansible)", "stage init: bootcmd failed"},
		},
		"one that says nothing": {"", []string{"provision[2] (mode ansible)"}},
	} {
		got := failuresIn(tc.said, y)
		if len(got) != len(tc.want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i, parts := range tc.want {
			for part := range strings.SplitSeq(parts, "|") {
				if !strings.Contains(got[i], part) {
					t.Errorf("%s: %q lacks %q", name, got[i], part)
				}
			}
		}
	}
}

// The words that are looked for are those of the Lima that is linked here.
func TestFailuresOfBootScriptsAreRecognized(t *testing.T) {
	for line, want := range map[string]bool{
		"LIMA 2026-01-02T00:00:00+00:00| WARNING: Failed to execute /mnt/lima-cidata/boot/05-lima-mounts.sh": true,
		"rdd: failed: mount_shares":        true,
		"rdd: failed: run_system_scripts":  true,
		"LIMA x| Executing /mnt/x/boot/05": false,
	} {
		if scriptFailed.MatchString(line) != want {
			t.Errorf("%q: %t", line, !want)
		}
	}
}
