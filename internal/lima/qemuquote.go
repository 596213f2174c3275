package lima

import (
	"encoding/json"
	"os"
	"slices"
	"strings"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/localpathutil"
)

// EnvPaths tells RunQEMU which paths Lima gives to QEMU in options, as a JSON list.
const EnvPaths = "RDD_LIMA_PATHS"

// splitting are the options of QEMU whose values are split at commas. Lima quotes none.
var splitting = []string{"-drive", "-chardev", "-virtfs", "-fsdev", "-netdev", "-device", "-object", "-blockdev"}

// QuoteCommas doubles the commas of the paths, a JSON list, where QEMU would split an option at them.
func QuoteCommas(args []string, paths string) ([]string, error) {
	if paths == "" {
		return args, nil
	}
	var all []string
	if err := json.Unmarshal([]byte(paths), &all); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) }) // a path before those above it
	var pairs []string
	for _, path := range all {
		if strings.Contains(path, ",") {
			pairs = append(pairs, path, strings.ReplaceAll(path, ",", ",,"))
		}
	}
	quote := strings.NewReplacer(pairs...)
	args = slices.Clone(args)
	for i := range args[:max(0, len(args)-1)] {
		if slices.Contains(splitting, args[i]) {
			args[i+1] = quote.Replace(args[i+1])
		}
	}
	return args, nil
}

// setPathsEnv sets EnvPaths.
func (h *hostagent) setPathsEnv(y *limayaml.LimaYAML) error {
	paths := []string{h.vm.Home}
	if home, err := localpathutil.Expand("~"); err == nil { // firmware may be there
		paths = append(paths, home)
	}
	for _, m := range y.Mounts {
		paths = append(paths, m.Location)
	}
	b, err := json.Marshal(paths)
	if err != nil {
		return err
	}
	return os.Setenv(EnvPaths, string(b))
}
