package qemu

import (
	"encoding/json"
	"slices"
	"strings"
)

// splitting lists the options whose values QEMU splits at commas. Lima doesn't quote the commas of paths in them.
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
