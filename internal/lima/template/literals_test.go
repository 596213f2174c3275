//go:build unix

package template

import (
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"
)

func TestNumbersAreReadAsTheyAreWritten(t *testing.T) {
	judged(t, limatest.NewVM(t), []verdict{
		{"a whole number", "cpus: 2\n", "", ""},
		{"a quoted number", "cpus: '2'\n", "", ""},
		{"a param", "param: {A: 8080, B: '010', C: 1.5}\nprovision: [{script: 'echo $PARAM_A $PARAM_B $PARAM_C'}]\n", "", ""},

		{"a half processor", "cpus: 2.5\n", "cpus", "line 2: must be a whole number in decimal digits"},
		{"a leading zero", "cpus: 010\n", "cpus", "got 010"},
		{"a quoted half", "cpus: '2.5'\n", "cpus", "got 2.5"},
		{"hexadecimal", "cpus: 0x10\n", "cpus", "got 0x10"},
		{"an exponent", "cpus: 1e1\n", "cpus", "got 1e1"},
		{"by an anchor", "cpus: &n 2.5\n", "cpus", "got 2.5"},
		{"a port", "portForwards: [{guestPort: 0177, hostPort: 127}]\n", "portForwards[0].guestPort", "got 0177"},
		{"a uid", "user: {uid: 01750}\n", "user.uid", "got 01750"},
		{"permissions without quotes", "provision: [{mode: data, path: /x, content: x, permissions: 0644}]\n", "provision[0].permissions", "YAML reads 0644 as 420"},
		{"a word in a text", "env: {A: True}\n", "env.A", "YAML reads True as true"},
		{"a disk's short form", "additionalDisks: [010]\n", "additionalDisks[0]", "YAML reads 010 as 8"},
		{"a list that is too long", "portForwards: [{guestPortRange: [1, 2, 3]}]\n", "portForwards[0].guestPortRange", "must be a list of 2"},
		{"two unknown fields", "bcd: 1\nabc: 1\n", "bcd", "unknown field"},
		{"a version in a param", "param: {A: 1.20}\nprovision: [{script: 'echo $PARAM_A'}]\n", "param.A", "YAML reads 1.20 as 1.2"},
	})
}
