//go:build unix

package template

import (
	"os/user"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima/limatest"
)

func TestGuestUserThatTheImageCanNotHave(t *testing.T) {
	judged(t, limatest.NewVM(t), []verdict{
		{"an ordinary one", "user: {name: me, uid: 1001, comment: 'Me, myself', home: '/home/{{.User}}', shell: /bin/sh}\n", "", ""},
		{"one of macOS", "user: {uid: 501}\n", "", ""},
		{"a shell that a script installs", "user: {shell: /usr/bin/zsh}\nprovision: [{mode: system, script: 'apt-get install -y zsh'}]\n", "", ""},

		{"mail", "user: {name: mail}\n", "user.name", "image has already"},
		{"a group", "user: {name: docker}\n", "user.name", "image has already"},
		{"a service of systemd", "user: {name: systemd-network}\n", "user.name", "image has already"},
		{"capitals", "user: {name: Me}\n", "user.name", "lower-case"},
		{"a colon in the name", "user: {name: 'a:b'}\n", "user.name", "lower-case"},
		{"a long name", "user: {name: " + strings.Repeat("a", 33) + "}\n", "user.name", "32"},
		{"uid 33", "user: {uid: 33}\n", "user.uid", "from 1000"},
		{"uid 998", "user: {uid: 998}\n", "user.uid", "from 1000"},
		{"nobody", "user: {uid: 65534}\n", "user.uid", "65534"},
		{"no uid at all", "user: {uid: 4294967295}\n", "user.uid", "from 1000"},
		{"a colon in the comment", "user: {comment: 'a:b'}\n", "user.comment", "colon"},
		{"a newline in the comment", "user: {comment: \"a\\nb\"}\n", "user.comment", "one line"},
		{"a shell that isn't there", "user: {shell: /bin/zsh}\n", "user.shell", "/bin/bash or /bin/sh"},
		{"a shell that only the user's script installs", "user: {shell: /bin/zsh}\nprovision: [{mode: user, script: 'sudo apt-get install -y zsh'}]\n", "user.shell", "/bin/bash or /bin/sh"},
		{"a shell that lets nobody in", "user: {shell: /usr/sbin/nologin}\n", "user.shell", "/bin/bash or /bin/sh"},
		{"a shell without a folder", "user: {shell: bash}\n", "user.shell", "absolute path"},
		{"a relative home", "user: {home: me}\n", "user.home", "absolute path"},
		{"a colon in the home", "user: {home: '/home/a:b'}\n", "user.home", "colons"},
		{"the system's directory", "user: {home: /etc/}\n", "user.home", "/home/NAME"},
	})
}

func TestHostUserThatCanNotBeTheGuests(t *testing.T) {
	for _, tc := range []struct {
		u    user.User
		want bool
	}{
		{user.User{Username: "me", Uid: "1000", Name: "Me"}, false},
		{user.User{Username: "Me Myself", Uid: "501", Name: "Me"}, false}, // Lima's name is taken
		{user.User{Username: "me", Uid: "S-1-5-21"}, false},
		{user.User{Username: "www-data", Uid: "33"}, true},
		{user.User{Username: "docker", Uid: "1000"}, true},
		{user.User{Username: "me", Uid: "1000", Name: "a:b"}, true},
	} {
		if got := NeedsOwnUser(&tc.u); got != tc.want {
			t.Errorf("%+v: %v", tc.u, got)
		}
	}
}
