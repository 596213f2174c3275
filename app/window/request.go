package window

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/spf13/pflag"

	"rancherdesktop.io/rdd/app/operation"
)

// Request is what the window is to show. The page gets it.
type Request struct {
	Operation string `json:"operation,omitempty"` // show this operation, such as start/demo
	Ask       string `json:"ask,omitempty"`       // ask this question: quit
	Page      string `json:"page,omitempty"`      // show this page, such as settings, vm/demo/logs or containers/ID/logs
}

// followed returns the operation to show, if it is one on a VM or the App.
func (r Request) followed() (verb operation.Verb, vm string, ok bool) {
	v, vm, ok := strings.Cut(r.Operation, "/")
	return operation.Verb(v), vm, ok && !strings.HasSuffix(v, "-service")
}

// routed translates the request for the page, which has other IDs for operations: it shows the object of the operation.
func (r Request) routed() Request {
	if verb, vm, ok := r.followed(); ok && verb.OnApp() {
		r.Page = "overview"
	} else if ok {
		r.Page = "machines/" + vm
	} else if r.Operation != "" {
		r.Page = "overview"
	}
	r.Operation = ""
	if vm, ok := strings.CutPrefix(r.Page, "vm/"); ok {
		r.Page = "machines/" + vm
	}
	return r
}

// Arguments are the command-line arguments of rdd-window.
type Arguments struct {
	Instance string
	Version  bool
	Request
}

var wordsRE = regexp.MustCompile(`^([a-z0-9-]+(/[A-Za-z0-9][A-Za-z0-9._:-]*){0,3})?$`) // an object of containerd is NAMESPACE:ID

// Parse reads the arguments of this program, or those that a later start hands over.
func Parse(args []string) (a Arguments, usage string, err error) {
	flags := pflag.NewFlagSet("rdd-window", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&a.Instance, "instance", "", "instance to show first")
	flags.StringVar(&a.Operation, "operation", "", "operation to show, such as start/demo")
	flags.StringVar(&a.Ask, "ask", "", "question to ask: quit")
	flags.StringVar(&a.Page, "page", "", "page to show, such as settings or vm/demo/logs")
	flags.BoolVar(&a.Version, "version", false, "print the version")
	usage = "Usage: rdd-window [flags]\n" + flags.FlagUsages()
	if err := flags.Parse(args); err != nil {
		return a, usage, err
	}
	for name, value := range map[string]string{"operation": a.Operation, "page": a.Page} {
		if !wordsRE.MatchString(value) {
			return a, usage, fmt.Errorf("--%s: %q is not valid", name, value)
		}
	}
	switch {
	case flags.NArg() > 0:
		return a, usage, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case a.Ask != "" && a.Ask != "quit":
		return a, usage, errors.New("--ask: the only allowed value is quit")
	}
	return a, usage, nil
}
