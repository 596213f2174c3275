package template

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/lima-vm/lima/pkg/limayaml"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// envFile is a file in the guest that sets its variables in a shell. It is gone after each run.
const envFile = "/run/rdd/env.sh"

// ReadEnvCommand reads envFile, in any shell.
const ReadEnvCommand = "[ ! -r " + envFile + " ] || . " + envFile

// envName matches names that every shell accepts.
var envName = regexp.MustCompile("^[A-Za-z_][A-Za-z0-9_]*$")

// checkEnv reports whether the guest can have the variables that a template gives it.
func checkEnv(y *limayaml.LimaYAML) error {
	for _, name := range slices.Sorted(maps.Keys(y.Env)) {
		field, value := "env."+name, y.Env[name]
		if !envName.MatchString(name) {
			return lima.FieldErrorf(field, "its name must begin with a letter or _ and hold only the letters a-z and A-Z, digits and _")
		}
		if err := checkEnvValue(value); err != nil {
			return lima.FieldError(field, err)
		}
		for i, p := range y.Provision {
			if misread(value) && p.Script != "" && !shellScript(p.Script) {
				return lima.FieldErrorf(field, "its value contains # or \\, begins with a quote, or begins or ends with a blank. Such a value can't be given to provision[%d].script, "+
					"which is not a shell script: change the value, or set it in that script", i)
			}
		}
	}
	return nil
}

// checkEnvValue refuses characters that would end the value's line and begin another variable.
func checkEnvValue(value string) error {
	for _, r := range value {
		if unicode.IsControl(r) && r != '\t' {
			return fmt.Errorf("its value contains the character %q: it must be one line of printable text", r)
		}
	}
	return nil
}

// misread reports whether PAM or Lima's boot scripts would change a value. Source: pam_env(8)
// on /etc/environment, and boot.sh of Lima's cidata, which echoes it.
func misread(value string) bool {
	return strings.ContainsAny(value, `#\`) || strings.TrimSpace(value) != value || strings.IndexAny(value, `'"`) == 0
}

// shells are those that can read envFile.
var shells = []string{"sh", "ash", "bash", "dash", "ksh", "mksh", "zsh"}

// shellScript reports whether a shell runs a script.
func shellScript(script string) bool {
	first, _, _ := strings.Cut(script, "\n")
	command, has := strings.CutPrefix(first, "#!")
	if !has {
		return true // /bin/sh runs it
	}
	return slices.ContainsFunc(strings.Fields(command), func(word string) bool { return slices.Contains(shells, path.Base(word)) })
}

// deliverEnv gives the variables of y, which include the host's proxies, the same values in shells, scripts and
// services, and with sudo. Lima alone writes them to /etc/environment, which services don't read and which can't hold
// every value. A script of ours does the rest; it runs at each boot before all other scripts.
func deliverEnv(y *limayaml.LimaYAML) {
	if len(y.Env) == 0 {
		return
	}
	script := envScript(y.Env)
	plain := maps.Clone(y.Env)
	maps.DeleteFunc(plain, func(_, value string) bool { return misread(value) })
	provision := slices.Clone(y.Provision)
	if len(plain) < len(y.Env) {
		for i := range provision {
			provision[i].Script = readingEnv(provision[i].Script)
		}
	}
	y.Env = plain
	y.Provision = append([]limayaml.Provision{{Mode: limayaml.ProvisionModeBoot, Script: script}}, provision...)
}

// readingEnv returns a script that reads envFile first.
func readingEnv(script string) string {
	if script == "" || !shellScript(script) {
		return script
	}
	first, rest, _ := strings.Cut(script, "\n")
	if strings.HasPrefix(first, "#!") {
		return first + "\n" + ReadEnvCommand + "\n" + rest
	}
	return ReadEnvCommand + "\n" + script
}

// envScript returns the script that gives the guest its variables.
func envScript(env map[string]string) string {
	names := slices.Sorted(maps.Keys(env))
	var exports, assignments strings.Builder
	for _, name := range names {
		exports.WriteString(" \\\n\t" + lima.ShellQuote("export "+name+"="+lima.ShellQuote(env[name])))
		assignments.WriteString(" \\\n\t\t" + lima.ShellQuote(name+"="+env[name]))
	}
	proxied := slices.ContainsFunc(names, func(name string) bool { return slices.Contains(proxyNames, name) })
	restart := ""
	if proxied {
		restart = `
	# These services may have started without the proxies. Not every guest has them.
	for unit in containerd.service docker.service; do
		systemctl try-restart "$unit" 2>/dev/null || :
	done`
	}
	script := templatetext.EnvScript + `set -eu
umask 022
mkdir -p /run/rdd /etc/profile.d
printf '%s\n'` + exports.String() + ` >` + envFile + `
printf '%s\n' ` + lima.ShellQuote(ReadEnvCommand) + ` >/etc/profile.d/rdd-env.sh
if [ -d /etc/sudoers.d ]; then
	printf '%s\n' ` + lima.ShellQuote(`Defaults env_keep += "`+strings.Join(names, " ")+`"`) + ` >/etc/sudoers.d/rdd-env
	chmod 440 /etc/sudoers.d/rdd-env
fi
if command -v systemctl >/dev/null; then
	systemctl set-environment` + assignments.String() + restart + `
fi
`
	return strings.ReplaceAll(script, "{{", `{{"{{"}}`) // Lima takes scripts for Go's templates
}
