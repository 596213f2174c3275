package objects

import (
	"fmt"
	"strconv"
	"strings"

	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
)

// maxCommand is how much of a command `docker ps` shows.
const maxCommand = 20

// quoted is a command as `docker ps` shows it.
func quoted(command string) string {
	if r := []rune(command); len(r) > maxCommand {
		command = string(r[:maxCommand-1]) + "…"
	}
	return strconv.Quote(command)
}

func ports(all []v1alpha1.ContainerPort) string {
	shown := make([]string, len(all))
	for i, p := range all {
		shown[i] = fmt.Sprintf("%d/%s", p.ContainerPort, p.Protocol)
		if p.HostPort == 0 {
			continue
		}
		address := p.HostIP
		switch {
		case address == "":
			address = "localhost"
		case strings.Contains(address, ":"):
			address = "[" + address + "]"
		}
		shown[i] = fmt.Sprintf("%s:%d->%s", address, p.HostPort, shown[i])
	}
	return list(shown)
}

func list(all []string) string { return strings.Join(all, ", ") }

// size is a number of bytes as docker shows it.
func size(bytes int64) string {
	value, unit := float64(bytes), 0
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	for value >= 999.5 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	return strconv.FormatFloat(value, 'g', 3, 64) + units[unit]
}
