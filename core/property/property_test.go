package property

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func all(t *testing.T) []Property {
	t.Helper()
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestThePropertiesAreThoseThatNoCommandSets(t *testing.T) {
	for _, p := range all(t) {
		if p.Description == "" || p.Type == "" || p.Syntax() == "" || !strings.HasSuffix(p.Summary(), ".") {
			t.Errorf("%s: %+v, syntax %q, summary %q", p.Name, p, p.Syntax(), p.Summary())
		}
	}
	got := names(all(t))
	for _, want := range []string{"containerEngine.name", "ports.bindAddresses", "virtualMachine.cpus", "virtualMachine.memory", "virtualMachine.mounts"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing: %v", want, got)
		}
	}
	for command := range commands {
		if slices.Contains(got, command) {
			t.Errorf("%s is a property", command)
		}
	}
}

// goName matches a name of a Go field, and a sentence about one.
var goName = regexp.MustCompile(`\b[A-Z][a-z]+[A-Z]\w*|^[A-Z]\w* (is|are|says|runs|lets|holds|asks)\b`)

func TestDescriptionsAreForReadersWhoKnowNoGo(t *testing.T) {
	for _, p := range all(t) {
		if found := goName.FindString(p.Description); found != "" {
			t.Errorf("%s: %q in: %s", p.Name, found, p.Description)
		}
		if not := slices.Contains(unavailable, p.Name); not != strings.HasPrefix(p.Description, "Not available yet") {
			t.Errorf("%s: not available: %t; described as: %s", p.Name, not, p.Description)
		}
	}
	for _, name := range unavailable {
		if !slices.Contains(names(all(t)), name) {
			t.Errorf("there is no property %s", name)
		}
	}
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		words string
		spec  string // as JSON
		wrong string // parts of the error, one a line
	}{
		{words: "virtualMachine.memory=8Gi", spec: `{"virtualMachine":{"memory":"8Gi"}}`},
		{words: "virtualMachine.memory= virtualMachine.cpus=4", spec: `{"virtualMachine":{"cpus":4,"memory":null}}`},
		{words: "virtualMachine.disk=107374182400", spec: `{"virtualMachine":{"disk":"107374182400"}}`},
		{words: "virtualMachine.disk=1.5Ti", spec: `{"virtualMachine":{"disk":"1.5Ti"}}`},
		{words: "containerEngine.name=containerd kubernetes.enabled=false", spec: `{"containerEngine":{"name":"containerd"},"kubernetes":{"enabled":false}}`},
		{words: "ports.bindAddresses=0.0.0.0,192.168.1.5", spec: `{"ports":{"bindAddresses":["0.0.0.0","192.168.1.5"]}}`},
		{words: "ports.bindAddresses=::", spec: `{"ports":{"bindAddresses":["::"]}}`},
		{words: "ports.bindAddresses=[]", spec: `{"ports":{"bindAddresses":[]}}`},
		{words: "virtualMachine.mounts=~/work:w,/data,/x:writable", spec: `{"virtualMachine":{"mounts":[{"path":"~/work","writable":true},{"path":"/data"},{"path":"/x","writable":true}]}}`},
		{words: `virtualMachine.mounts=[{"path":"/a,b"}]`, spec: `{"virtualMachine":{"mounts":[{"path":"/a,b"}]}}`},
		{words: "kubernetes.version=1.36.2=x", spec: `{"kubernetes":{"version":"1.36.2=x"}}`},

		{words: "virtualMachine.memory", wrong: "expected PROPERTY=VALUE"},
		{words: "=8Gi", wrong: "expected PROPERTY=VALUE"},
		{words: "memory=8Gi", wrong: `no property "memory"; did you mean virtualMachine.memory?`},
		{words: "virtualmachine.Memory=8Gi", wrong: "did you mean virtualMachine.memory?"},
		{words: "virtualMachine.memroy=8Gi", wrong: "did you mean virtualMachine.memory?"},
		{words: "spec.virtualMachine.memory=8Gi", wrong: "did you mean virtualMachine.memory?"},
		{words: "engine.name=moby", wrong: "did you mean containerEngine.name?"},
		{words: "virtualMachine=8Gi", wrong: "is a group of properties; set one of them: virtualMachine.cpus, "},
		{words: "colour=red", wrong: "the properties are: containerEngine."},
		{words: "running=true", wrong: `"running" is not a property; use: rdd start or rdd stop`},
		{words: "virtualMachine.cpus=4 virtualMachine.cpus=5", wrong: "virtualMachine.cpus is set twice"},
		{words: "virtualMachine.memory=8", wrong: "a size needs a unit: 8Gi or 8Mi"},
		{words: "virtualMachine.memory=8GB", wrong: "did you mean 8Gi?"},
		{words: "virtualMachine.memory=8g", wrong: "did you mean 8Gi?"},
		{words: "virtualMachine.memory=512m", wrong: "did you mean 512Mi?"}, // a thousandth of a byte
		{words: "virtualMachine.memory=much", wrong: `must be a size such as 8Gi or 512Mi; got "much"`},
		{words: "virtualMachine.cpus=0", wrong: "virtualMachine.cpus: must be from 1 to 256; got 0"},
		{words: "virtualMachine.cpus=99999999999", wrong: "must be from 1 to 256"},
		{words: "virtualMachine.cpus=two", wrong: `must be a whole number; got "two"`},
		{words: "containerEngine.name=docker", wrong: `must be one of moby, containerd; got "docker"`},
		{words: "kubernetes.enabled=yes", wrong: "must be true or false"},
		{words: "kubernetes.version=" + strings.Repeat("1", 65), wrong: "at most 64 characters; got 65"},
		{words: "ports.bindAddresses=0.0.0.0,,::", wrong: "has an empty value"},
		{words: "ports.bindAddresses=::,::", wrong: "has :: twice"},
		{words: "ports.bindAddresses=[1", wrong: "is not a JSON array"},
		{words: "ports.bindAddresses=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", wrong: "at most 16 values; got 17"},
		{words: "virtualMachine.mounts=/a:w,/a", wrong: "has /a twice"},
		{words: "virtualMachine.mounts=/a:x", wrong: `expected PATH or PATH:w (writable); got "/a:x"`},
		{words: "virtualMachine.mounts=:w", wrong: "got an empty value"},
		{words: "virtualMachine.cpus=0 nope=1 running=", wrong: "must be from 1 to 256\nno property \"nope\"\nuse: rdd start"},
	} {
		changes, err := Parse(all(t), strings.Fields(tc.words))
		if tc.wrong != "" {
			if err == nil {
				t.Errorf("%s: no error", tc.words)
				continue
			}
			for i, part := range strings.Split(tc.wrong, "\n") {
				if lines := strings.Split(err.Error(), "\n"); i >= len(lines) || !strings.Contains(lines[i], part) {
					t.Errorf("%s: %v, want in line %d: %s", tc.words, err, i, part)
				}
			}
			continue
		}
		spec, jsonErr := json.Marshal(Spec(changes))
		if err != nil || jsonErr != nil || string(spec) != tc.spec {
			t.Errorf("%s: %s %v, want %s", tc.words, spec, err, tc.spec)
		}
	}
}

// A relative path would mean another folder to the service.
func TestAMountHasAnAbsolutePath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	changes, err := Parse(all(t), []string{"virtualMachine.mounts=.:w,~,~/x,sub"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := changes[0].Property.Format(changes[0].Value), dir+":w,~,~/x,"+dir+"/sub"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What set prints, it reads.
func TestFormatIsWhatParseReads(t *testing.T) {
	for _, word := range []string{
		"virtualMachine.memory=8Gi", "virtualMachine.cpus=4", "kubernetes.enabled=true", "containerEngine.name=moby",
		"ports.bindAddresses=0.0.0.0,::1", "ports.bindAddresses=[]", "virtualMachine.mounts=~:w,/data", `virtualMachine.mounts=[{"path":"/a,b"}]`, "virtualMachine.memory=",
	} {
		changes, err := Parse(all(t), []string{word})
		if err != nil {
			t.Errorf("%s: %v", word, err)
			continue
		}
		p := changes[0].Property
		stored, err := json.Marshal(Spec(changes)) // as the control plane stores it
		var spec map[string]any
		if err == nil {
			err = json.Unmarshal(stored, &spec)
		}
		if got := p.Name + "=" + p.Format(p.Value(spec)); err != nil || got != word {
			t.Errorf("%s, want %s (%v)", got, word, err)
		}
	}
}

func TestComplete(t *testing.T) {
	for _, tc := range []struct{ typed, done, want string }{
		{"container", "", "containerEngine.dockerContext= containerEngine.name="},
		{"container", "containerEngine.name=moby", "containerEngine.dockerContext="},
		{"containerEngine.name=", "", "containerEngine.name=moby containerEngine.name=containerd"},
		{"containerEngine.name=c", "", "containerEngine.name=containerd"},
		{"kube", "", ""},
		{"kubernetes.enabled=", "", ""},
		{"virtualMachine.memory=", "", ""},
		{"nope", "", ""},
	} {
		var got []string
		for _, word := range Complete(all(t), tc.typed, strings.Fields(tc.done)) {
			word, description, _ := strings.Cut(word, "\t")
			if strings.HasSuffix(word, "=") != (description != "") {
				t.Errorf("%s has the description %q", word, description)
			}
			got = append(got, word)
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s: %q, want %q", tc.typed, got, tc.want)
		}
	}
}
