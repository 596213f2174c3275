package template

import (
	"regexp"
	"strconv"
	"strings"

	"rancherdesktop.io/rdd/internal/lima"
)

// These find the field in Lima's messages, and the param in messages about one. Lima's errors are nothing but text.
var (
	limaField = regexp.MustCompile("^(?:failed to [^`]*)?field `([^`]+)`:? ?")
	limaParam = regexp.MustCompile("^(field `param` key|param) (\"(?:[^\"\\\\]|\\\\.)*\") ")
)

// LimaError turns Lima's error, perhaps several joined, into a PermanentError with the first one's field. A nil err
// stays nil.
func LimaError(err error) error {
	if err == nil {
		return nil
	}
	var field string
	var messages []string
	for _, e := range flatten(err) {
		at, message := splitField(e.Error())
		switch {
		case field == "":
			field = at
		case at != "":
			message = at + ": " + message
		}
		messages = append(messages, message)
	}
	return lima.FieldErrorf(field, "%s", strings.Join(messages, "; "))
}

// splitField splits one of Lima's messages into the field, which may be empty, and what is wrong with it.
func splitField(text string) (field, message string) {
	if m := limaParam.FindStringSubmatch(text); m != nil {
		if name, err := strconv.Unquote(m[2]); err == nil {
			message = text[len(m[0]):]
			if m[1] == "param" {
				message = "its " + message // name or value
			}
			return "param." + name, message
		}
	}
	if m := limaField.FindStringSubmatch(text); m != nil {
		return m[1], text[len(m[0]):]
	}
	return "", text
}

func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}
