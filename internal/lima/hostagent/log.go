package hostagent

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"

	"rancherdesktop.io/rdd/internal/lima/template"
)

// maxLogSize is how large a log may be when a run begins.
const maxLogSize = 5 << 20

// openLog opens a log to append to. A large log is renamed to path.1 first.
func openLog(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxLogSize {
		err = os.Rename(path, path+".1")
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// withoutPasswords is a log format that leaves out the credentials of proxies. Lima logs the URL of a proxy that it
// can't parse.
type withoutPasswords struct {
	logrus.Formatter
	hide *strings.Replacer
}

// Format is called for each line.
func (w *withoutPasswords) Format(e *logrus.Entry) ([]byte, error) {
	b, err := w.Formatter.Format(e)
	return []byte(w.hide.Replace(string(b))), err
}

// hidePasswords makes log lines that don't repeat the credentials in the proxies of env.
func hidePasswords(f logrus.Formatter, env map[string]string) logrus.Formatter {
	var pairs []string
	for _, credentials := range template.ProxyCredentials(env) {
		for _, text := range []string{credentials, inside(strconv.Quote(credentials))} {
			line, _ := json.Marshal(text) // as it is in a line of JSON
			pairs = append(pairs, inside(string(line)), "***@")
		}
	}
	return &withoutPasswords{f, strings.NewReplacer(pairs...)}
}

// inside returns a text without the quotes around it.
func inside(quoted string) string { return quoted[1 : len(quoted)-1] }
