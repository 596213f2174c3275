//go:build unix

package hostagent

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
)

func TestAProxysPasswordIsNotLogged(t *testing.T) {
	for _, proxy := range []string{"http://me:p%24w&\"d@proxy:1/x", "me:a@b@proxy:1", `http://me:a\b@proxy`} {
		var log bytes.Buffer
		l := logrus.New()
		l.SetOutput(&log)
		l.SetFormatter(hidePasswords(new(logrus.JSONFormatter), map[string]string{"http_proxy": proxy, "no_proxy": "a.b"}))
		l.Warnf("Ignoring invalid proxy %q=%v", "http_proxy", proxy)
		l.Warnf("Overriding %q", proxy)
		if text := log.String(); strings.Contains(text, "me:") || strings.Count(text, "***@proxy") != 2 {
			t.Errorf("%s: %s", proxy, text)
		}
	}
}
