// Package tools puts the command line tools that come with RDD, such as docker, into a folder for the user's PATH. The service
// does so when it starts.
package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Link makes a folder have an entry for each program that exists, by the name of the entry. Entries of an earlier version of
// RDD, or of one in another folder, are replaced; those that lead nowhere are removed. All else in the folder is the user's,
// and stays.
func Link(folder string, programs map[string]string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make the folder of the tools that come with RDD: %w", err)
	}
	var problems []error
	for name, program := range programs {
		if err := link(filepath.Join(folder, name+suffix), program); err != nil {
			problems = append(problems, fmt.Errorf("link the tool %s: %w", name, err))
		}
	}
	return errors.Join(problems...)
}

// link makes one entry.
func link(entry, program string) error {
	_, missing := os.Stat(program)
	target, err := read(entry)
	switch {
	case errors.Is(err, fs.ErrNotExist) && missing != nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return write(entry, program)
	case errors.Is(err, errForeign), err == nil && !ours(target, program):
		return nil
	case err != nil:
		return err
	case missing != nil && leadsNowhere(target):
		return os.Remove(entry)
	case missing != nil || target == program:
		return nil
	}
	return write(entry, program)
}

// errForeign means that RDD has not made an entry.
var errForeign = errors.New("not made by RDD")

// ours reports whether RDD may replace an entry with that target: it leads nowhere, or to the same program of any RDD.
func ours(target, program string) bool {
	return target == program || leadsNowhere(target) || strings.HasSuffix(target, inLibexec(program))
}

func leadsNowhere(target string) bool {
	_, err := os.Stat(target)
	return errors.Is(err, fs.ErrNotExist)
}

// inLibexec is the end of a program's path that it has wherever RDD is installed.
func inLibexec(program string) string {
	const libexec = string(filepath.Separator) + "libexec" + string(filepath.Separator) + "rdd" + string(filepath.Separator)
	if i := strings.LastIndex(program, libexec); i >= 0 {
		return program[i:]
	}
	return program
}
