package dockerconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// key is the member of config.json that names docker's current context.
const key = "currentContext"

// bom is a byte order mark, which some editors write at the beginning. docker can't read a file that has one.
const bom = "\ufeff"

// document is the text of a config.json, with what is needed to change one member and no other byte.
type document struct {
	text    []byte
	open    int // the offset of {, after which the members are; -1 if the text is empty
	members []member
	missing bool // there is no file
}

// member is a member of the top-level object: the offsets of its parts.
type member struct {
	key          string
	start, colon int // of the key, with its quotes, and the end of it
	value, end   int // of the value
	current      bool
}

// parse reads the text. An empty one is as good as {}, as it is for docker.
func parse(text []byte) (*document, error) {
	d := &document{text: text, open: -1}
	begin := 0
	if bytes.HasPrefix(text, []byte(bom)) {
		begin = len(bom)
	}
	if len(bytes.Trim(text[begin:], space)) == 0 {
		return d, nil
	}
	var whole json.RawMessage
	if err := json.Unmarshal(text[begin:], &whole); err != nil {
		return nil, fmt.Errorf("it is not valid JSON: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(text[begin:]))
	at := func() int { return begin + int(dec.InputOffset()) }
	if first, err := dec.Token(); err != nil || first != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	d.open = at() - 1
	for dec.More() {
		before := at()
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		m := member{key: fmt.Sprint(name), colon: at()}
		m.start = before + bytes.IndexByte(text[before:], '"')
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		m.end = at()
		m.value = m.end - len(value)
		m.current = strings.EqualFold(m.key, key) // as Go, and so docker, compares them
		if m.current && value[0] != '"' && string(value) != "null" {
			return nil, fmt.Errorf("%s in it is not a string", key)
		}
		d.members = append(d.members, m)
	}
	return d, nil
}

// space is what JSON allows between its parts.
const space = " \t\r\n"

// last returns the member that counts: docker takes the last of several. It is nil if there is none.
func (d *document) last() *member {
	for i := len(d.members) - 1; i >= 0; i-- {
		if d.members[i].current {
			return &d.members[i]
		}
	}
	return nil
}

// raw is the value that counts as it is written, empty if there is none.
func (d *document) raw() string {
	if m := d.last(); m != nil {
		return string(d.text[m.value:m.end])
	}
	return ""
}

// current is the name of the current context as docker reads it. Empty means docker's default.
func (d *document) current() (name string) {
	for _, m := range d.members {
		if m.current {
			_ = json.Unmarshal(d.text[m.value:m.end], &name) // null changes nothing
		}
	}
	return name
}

// with returns the text with the value raw; with an empty one, without the member. All other bytes stay as they are.
func (d *document) with(raw string) ([]byte, error) {
	changed := d.edit(raw)
	after, err := parse(changed)
	if err != nil {
		return nil, fmt.Errorf("change %s in it: %w", key, err)
	}
	if after.raw() != raw || !slices.Equal(d.others(), after.others()) {
		return nil, fmt.Errorf("%s in it can't be changed alone", key)
	}
	return changed, nil
}

// others returns all members but those that name the current context, as they are written.
func (d *document) others() (all []string) {
	for _, m := range d.members {
		if !m.current {
			all = append(all, string(d.text[m.start:m.colon])+":"+string(d.text[m.value:m.end]))
		}
	}
	return all
}

func (d *document) edit(raw string) []byte {
	m := d.last()
	switch {
	case raw == "":
		return d.without()
	case m != nil:
		return d.splice(m.value, m.end, raw)
	case d.open < 0:
		at := len(d.text) - len(bytes.TrimPrefix(d.text, []byte(bom)))
		return d.splice(at, at, d.sole(raw))
	case len(d.members) == 0:
		end := d.open + 1 + bytes.IndexByte(d.text[d.open+1:], '}')
		return d.splice(d.open, end+1, d.sole(raw))
	}
	// It is written like the last member, behind that.
	n := len(d.members) - 1
	like := d.members[n]
	gap := "," + string(d.text[d.open+1:like.start])
	if n > 0 {
		gap = string(d.text[d.members[n-1].end:like.start])
	}
	return d.splice(like.end, like.end, gap+`"`+key+`"`+string(d.text[like.colon:like.value])+raw)
}

// sole returns an object with only this member, as docker writes it.
func (d *document) sole(raw string) string {
	end := "\n"
	if bytes.Contains(d.text, []byte("\r\n")) {
		end = "\r\n"
	}
	return "{" + end + "\t\"" + key + `": ` + raw + end + "}"
}

// without returns the text without all members that name the current context.
func (d *document) without() []byte {
	text := slices.Clone(d.text)
	for i := len(d.members) - 1; i >= 0; i-- {
		if !d.members[i].current {
			continue
		}
		from, to := d.members[i].start, d.members[i].end
		switch rest := d.members[i+1:]; {
		case len(rest) > 0 && !all(rest): // with what separates it from the next
			to = rest[0].start
		case i > 0: // with what separates it from the one before
			from = d.members[i-1].end
		default:
			from = d.open + 1
			to += bytes.IndexByte(text[to:], '}')
		}
		text = slices.Delete(text, from, to)
	}
	return text
}

// all reports whether all members name the current context.
func all(members []member) bool {
	return !slices.ContainsFunc(members, func(m member) bool { return !m.current })
}

// splice returns the text with what is between two offsets replaced.
func (d *document) splice(from, to int, by string) []byte {
	return slices.Concat(d.text[:from], []byte(by), d.text[to:])
}
