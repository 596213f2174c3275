package property

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// parse reads a value of the property.
func (p *Property) parse(text string) (any, error) {
	switch p.Type {
	case Quantity:
		return p.quantity(text)
	case List:
		return p.list(text)
	}
	return p.schema.scalar(text)
}

// scalar reads a text, a number or true or false.
func (s *schema) scalar(text string) (any, error) {
	switch s.Type {
	case "boolean":
		if text != "true" && text != "false" {
			return nil, fmt.Errorf("must be true or false; got %q", text)
		}
		return text == "true", nil
	case "integer":
		return s.integer(text)
	}
	length := utf8.RuneCountInString(text)
	switch {
	case s.Enum != nil && !slices.Contains(s.Enum, text):
		return nil, fmt.Errorf("must be one of %s; got %q", strings.Join(s.Enum, ", "), text)
	case s.MaxLength > 0 && length > s.MaxLength:
		return nil, fmt.Errorf("must have at most %d characters; got %d", s.MaxLength, length)
	case length < s.MinLength:
		return nil, errors.New("must not be empty")
	}
	if s.Pattern != "" {
		pattern, err := regexp.Compile(s.Pattern)
		if err != nil {
			return nil, err
		}
		if !pattern.MatchString(text) {
			return nil, fmt.Errorf("must match %s; got %q", s.Pattern, text)
		}
	}
	return text, nil
}

func (s *schema) integer(text string) (any, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return nil, fmt.Errorf("must be a whole number; got %q", text)
	case err != nil || s.Minimum != nil && n < *s.Minimum || s.Maximum != nil && n > *s.Maximum:
		return nil, fmt.Errorf("must be %s; got %s", s.limits(), text)
	}
	return n, nil
}

func (s *schema) limits() string {
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("from %d to %d", *s.Minimum, *s.Maximum)
	case s.Minimum != nil:
		return fmt.Sprintf("at least %d", *s.Minimum)
	case s.Maximum != nil:
		return fmt.Sprintf("at most %d", *s.Maximum)
	}
	return "a number of 32 bits"
}

// loose matches a size in the notations of other programs: 8GB, 8 gib, 8g.
var loose = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([kKmMgGtT])?i?[bB]?$`)

// smallest is the length of a number from which it can be a size in bytes.
const smallest = 7

// quantity reads a size such as 8Gi.
func (p *Property) quantity(text string) (any, error) {
	pattern, err := regexp.Compile(p.schema.Pattern)
	if err != nil {
		return nil, err
	}
	m := loose.FindStringSubmatch(text)
	valid := pattern.MatchString(text)
	switch {
	case valid && (m == nil || m[2] == "" && len(m[1]) >= smallest || m[2] != "" && m[2] != "m"): // m is a thousandth
		return text, nil
	case m != nil && m[2] == "":
		return nil, fmt.Errorf("a size needs a unit: %sGi or %sMi; got %q", m[1], m[1], text)
	case m != nil:
		return nil, fmt.Errorf("must be a size such as 8Gi or 512Mi; got %q; did you mean %s%si?", text, m[1], strings.ToUpper(m[2]))
	}
	return nil, fmt.Errorf("must be a size such as 8Gi or 512Mi; got %q", text)
}

// list reads values that are separated by commas, or a JSON array.
func (p *Property) list(text string) (any, error) {
	items := []any{}
	if strings.HasPrefix(text, "[") {
		if err := json.Unmarshal([]byte(text), &items); err != nil {
			return nil, fmt.Errorf("begins with [ and is not a JSON array: %w", err)
		}
	} else {
		for part := range strings.SplitSeq(text, ",") {
			item, err := p.schema.Items.item(part)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
	}
	if limit := p.schema.MaxItems; limit > 0 && len(items) > limit {
		return nil, fmt.Errorf("must have at most %d values; got %d", limit, len(items))
	}
	return items, p.unique(items)
}

// unique reports a value that a list has twice, if the list must not have that.
func (p *Property) unique(items []any) error {
	if p.schema.ListType != "set" && p.schema.ListType != "map" {
		return nil
	}
	known := map[string]bool{}
	for _, item := range items {
		key := fmt.Sprint(item)
		if object, ok := item.(map[string]any); ok {
			key = fmt.Sprint(object[p.schema.Items.key()])
		}
		if known[key] {
			return fmt.Errorf("has %s twice", key)
		}
		known[key] = true
	}
	return nil
}

// item reads an item of a list. An object is written as the value of its required property, and then :FLAG for each
// of its boolean properties that is true, of which the first letter is enough.
func (s *schema) item(text string) (any, error) {
	if s.Type != "object" {
		if text == "" {
			return nil, errors.New("has an empty value; values are separated by one comma")
		}
		return s.scalar(text)
	}
	object := map[string]any{}
	for {
		rest, word, ok := cutLast(text, ":")
		flag := s.flag(word)
		if !ok || flag == "" {
			break
		}
		object[flag], text = true, rest
	}
	key := s.key()
	if text == "" {
		return nil, fmt.Errorf("expected %s; got an empty value", s.syntax())
	}
	// A colon that begins no flag is a part of the value if it is a path of Windows.
	if i := strings.LastIndex(text, ":"); i > 1 {
		return nil, fmt.Errorf("expected %s; got %q", s.syntax(), text)
	}
	if key == "path" && text != "~" && !strings.HasPrefix(text, "~/") && !filepath.IsAbs(text) {
		abs, err := filepath.Abs(text)
		if err != nil {
			return nil, err
		}
		text = abs
	}
	value, err := s.Properties[key].scalar(text)
	object[key] = value
	return object, err
}

// syntax describes an object in a list.
func (s *schema) syntax() string {
	syntax := strings.ToUpper(s.key())
	for _, flag := range s.flags() {
		syntax += fmt.Sprintf(" or %s:%s (%s)", strings.ToUpper(s.key()), flag[:1], flag)
	}
	return syntax
}

func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

// key is the name of an object's required property.
func (s *schema) key() string { return s.Required[0] }

// flags names the boolean properties of an object.
func (s *schema) flags() (flags []string) {
	for name, property := range s.Properties {
		if property.Type == "boolean" {
			flags = append(flags, name)
		}
	}
	slices.Sort(flags)
	return flags
}

// flag returns the boolean property that a word stands for; empty if it stands for none.
func (s *schema) flag(word string) string {
	for _, flag := range s.flags() {
		if word == flag || word != "" && word == flag[:1] {
			return flag
		}
	}
	return ""
}

// Format returns a value as set accepts it.
func (p *Property) Format(value any) string {
	items, ok := value.([]any)
	if !ok {
		if value == nil {
			return ""
		}
		return fmt.Sprint(value)
	}
	var parts []string
	plain := len(items) > 0
	for _, item := range items {
		part := fmt.Sprint(item)
		if object, ok := item.(map[string]any); ok {
			part = fmt.Sprint(object[p.schema.Items.key()])
			for _, flag := range p.schema.Items.flags() {
				if object[flag] == true {
					part += ":" + flag[:1]
				}
			}
		}
		plain = plain && !strings.Contains(part, ",")
		parts = append(parts, part)
	}
	if !plain {
		text, err := json.Marshal(items)
		if err != nil {
			return fmt.Sprint(items)
		}
		return string(text)
	}
	return strings.Join(parts, ",")
}
