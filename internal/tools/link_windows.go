package tools

import (
	"os"
	"strings"

	"rancherdesktop.io/rdd/internal/atomicfile"
)

// suffix is that of batch files: symbolic links need a privilege, and copies would not find what is beside the program.
const suffix = ".cmd"

const (
	begin = "@rem Made by RDD\r\n@\""
	end   = "\" %*\r\n"
)

// read returns the path of the program that an entry runs.
func read(entry string) (string, error) {
	text, err := os.ReadFile(entry)
	if err != nil {
		return "", err
	}
	target, ok := strings.CutPrefix(string(text), begin)
	if target, ok2 := strings.CutSuffix(target, end); ok && ok2 {
		return strings.ReplaceAll(target, "%%", "%"), nil
	}
	return "", errForeign
}

// write makes an entry run a program.
func write(entry, program string) error {
	return atomicfile.Write(entry, []byte(begin+strings.ReplaceAll(program, "%", "%%")+end))
}
