package diag

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"unicode"
)

// carriers are texts that contain a secret, %s.
var carriers = []string{
	"Authorization: Bearer %s",
	"authorization: Basic %s",
	"GET / map[Authorization:[Bearer %s] Accept:[*/*]]",
	`{"level":"debug","msg":"header","Authorization":"Bearer %s","time":"now"}`,
	`{"msg":"request \"Authorization: Bearer %s\" refused"}`,
	"sent Bearer %s to the server",
	"Set-Cookie: session=%s; Path=/",
	"postgres://rdd:%s@db.example:5432/rdd?sslmode=require",
	plain,
	"open https://x-access-token:%s@host/path: 403",
	"http://user:%s@proxy:3128,https://user2:%[1]s@other",
	"GET https://host/file?token=%s&x=1",
	"GET https://bucket/file?X-Amz-Credential=a&X-Amz-Signature=%s",
	"GET https://account.blob/file?sv=1&sig=%s",
	"password=%s",
	`msg=login user=me password=%s err="no"`,
	`msg=login password="%s and more" err="no"`,
	"db_password: %s with two words",
	"  client-key-data: %s",
	"    token: %s",
	`{"apiKey": "%s"}`,
	`{\"api_key\":\"%s\",\"x\":1}`,
	"run tool --password %s --verbose",
	"run tool --api-token=%s",
	`args ["tool" "--token" "%s"]`,
	"export GITHUB_TOKEN=%s",
	"MY_THING=%s and what follows",
	"environment [PATH=/bin MY_THING=%s LANG=C]",
	`env="MY_THING=%s"`,
	"env:\n  HARMLESS: %s",
	"env:\n  HARMLESS: |\n    first line\n    %s\nnext: x",
	"env: {HARMLESS: %s}",
	`{cpus: 2, env: {HARMLESS: %s}, "param": {color: red}}`,
	"param:\n  color: %s\ncpus: 2",
	"provision:\n- mode: system\n  env:\n  - name: A\n    value: %s\n",
	`{"spec":{"params":{"color":"%s"}}}`,
	"{\n  \"params\": {\n    \"color\": \"%s\"\n  }\n}",
	"secret: |\n  first\n  %s\nnext: x",
	"password:\n  %s\n",
	"-----BEGIN OPENSSH PRIVATE KEY-----\n%s\n-----END OPENSSH PRIVATE KEY-----",
	`{"key":"-----BEGIN PRIVATE KEY-----\n%s\n-----END PRIVATE KEY-----\n"}`,
	"-----BEGIN EC PRIVATE KEY-----\n%s",
}

func TestEverySecretOfALineIsRedacted(t *testing.T) {
	const secret = "Zq7-planted.Secret"
	for _, first := range carriers {
		for _, second := range carriers {
			if strings.Contains(first+second, "\n") {
				continue
			}
			text := fmt.Sprintf(first, secret) + " " + fmt.Sprintf(second, secret)
			if clean, _ := shared.Text(text); strings.Contains(clean, secret) {
				t.Errorf("%s\ngives\n%s", text, clean)
			}
		}
	}
}

// shared is compiled once, for tests that redact many texts.
var shared = NewRedactor(nil, "")

// plain is the carrier of a user name without a password in a URL, where a / ends it.
const plain = "https://%s@github.com/owner/repository"

func TestNoPlantedSecretSurvives(t *testing.T) {
	for _, c := range carriers {
		secret := "Zq7-planted.Secret/9+x=="
		if c == plain {
			secret = strings.ReplaceAll(secret, "/", "_")
		}
		text := "before\n" + fmt.Sprintf(c, secret) + "\nafter"
		clean, n := NewRedactor(nil, "").Text(text)
		if strings.Contains(clean, secret) || n == 0 {
			t.Errorf("%d redactions of\n%s\ngive\n%s", n, text, clean)
		}
		if strings.Contains(c, "BEGIN EC") {
			continue // everything after a key without an end is redacted
		}
		if !strings.HasPrefix(clean, "before\n") || !strings.HasSuffix(clean, "\nafter") {
			t.Errorf("the text around %q is gone: %s", c, clean)
		}
	}
}

func TestTokensAreRecognizedByTheirFormat(t *testing.T) {
	for _, token := range []string{
		"ghp_abcdefghijklmnopqrstuvwxyz0123456789", "glpat-abcdefghijklmnopqrst", "AKIAIOSFODNN7EXAMPLE", "dckr_pat_abcdefghijklmnopqrstuvwx",
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "xoxb-123456789012-abcdef",
	} {
		if clean, n := NewRedactor(nil, "").Text("pulling with " + token + " failed"); n != 1 || clean != "pulling with [redacted] failed" {
			t.Error(n, clean)
		}
	}
}

func TestKnownSecretIsRedactedInEveryEncoding(t *testing.T) {
	const secret = `pa ss"w/o+rd`
	r := NewRedactor([]string{secret, "", "abc"}, "")
	text := "1 " + secret + " 2 pa+ss%22w%2Fo%2Brd 3 " + base64.StdEncoding.EncodeToString([]byte(secret)) + ` 4 pa ss\"w/o+rd 5 abc`
	clean, n := r.Text(text)
	if want := "1 [redacted] 2 [redacted] 3 [redacted] 4 [redacted] 5 abc"; clean != want || n != 4 {
		t.Error(n, clean)
	}
}

func TestTextWithoutSecretsIsUnchanged(t *testing.T) {
	text := strings.Join([]string{
		`time=2026-01-02T12:00:00Z level=INFO msg=ready pid=12 server=https://127.0.0.1:40001`,
		`{"level":"info","msg":"Waiting for the essential requirement 1 of 3: \"ssh\"","time":"2026-01-02T12:00:00Z"}`,
		`[    0.000000] Linux version 6.12.0 (debian-kernel@lists.debian.org)`,
		`images:`,
		`- location: https://cloud.debian.org/images/debian-13.qcow2`,
		`  digest: sha256:0000000000000000000000000000000000000000000000000000000000000000`,
		`images[0].digest: the file's digest is sha256:30e1, not sha256:0000 as the template says`,
		`read https://proxy.golang.org/github.com/x/@v/list`,
		`ssh rdd@127.0.0.1`,
		``,
	}, "\n")
	if clean, n := NewRedactor(nil, "").Text(text); clean != text || n != 0 {
		t.Errorf("%d redactions:\n%s", n, clean)
	}
}

func TestHomeIsShownAsTilde(t *testing.T) {
	if clean, n := NewRedactor(nil, "/home/jane").Text("open /home/jane/.rdd/default: no"); clean != "open ~/.rdd/default: no" || n != 0 {
		t.Error(n, clean)
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("before", "hunter2-and-more", "after", uint(0))
	f.Add(`{"a":"`, "s3cr3t/with+signs==", `"}`, uint(7))
	f.Add("env:\n  a: b", "Zq7planted", "\n  c: d", uint(29))
	f.Fuzz(func(t *testing.T, before, secret, after string, which uint) {
		carrier := carriers[which%uint(len(carriers))]
		if carrier == plain {
			secret = strings.ReplaceAll(secret, "/", "_")
		}
		if !plantable(secret) || strings.Contains(before+after+carrier+redactedMark, secret) {
			t.Skip()
		}
		planted := fmt.Sprintf(carrier, secret)
		for _, text := range []string{before + "\n" + planted + "\n" + after, planted + "\n" + after} {
			clean, n := shared.Text(text)
			if strings.Contains(clean, secret) || n == 0 {
				t.Fatalf("%q\nkeeps %q\nin %q", text, secret, clean)
			}
		}
		// A known secret is redacted everywhere.
		anywhere := before + secret + after
		if clean, _ := NewRedactor([]string{secret}, "").Text(anywhere); strings.Contains(clean, secret) {
			t.Fatalf("%q keeps %q in %q", anywhere, secret, clean)
		}
	})
}

// plantable reports whether all carriers can contain the secret.
func plantable(secret string) bool {
	odd := strings.ContainsFunc(secret, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsPrint(r) || unicode.IsSpace(r) || strings.ContainsRune("\"'`\\", r)
	})
	return len(secret) >= 6 && !odd && secret != "null" && !strings.ContainsAny(secret[:1], "|>{[-")
}
