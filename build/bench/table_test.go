package main

import (
	"strings"
	"testing"
)

func TestShort(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.1094: "0.109", 0.00456: "0.00456", 4.126: "4.13", 12: "12.0", 97.26: "97.3", 1332.4: "1332", 24000: "24000", 0.9999: "1.000",
	} {
		if got := short(v); got != want {
			t.Errorf("short(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestResultsKeepTheOrderAndJudgeTheMedian(t *testing.T) {
	load := 0.0
	r, err := newResults("", func() float64 { load++; return load })
	if err != nil {
		t.Fatal(err)
	}
	r.add("api.creates", 1000)
	for _, ms := range []float64{500, 300, 390} { // the median counts, not the worst
		r.add("service.start-fresh", ms)
	}
	r.add("commands.version", 18)
	rows := r.rows()
	if len(rows) != 3 || rows[0].Key != "commands.version" || rows[1].Key != "service.start-fresh" || rows[2].Key != "api.creates" {
		t.Fatalf("rows = %+v, want version, start, creates", rows)
	}
	if *rows[0].OK || rows[0].Ratio != 1.5 {
		t.Errorf("18 ms of 12: ok %t, ratio %v; want over, 1.5", *rows[0].OK, rows[0].Ratio)
	}
	if !*rows[1].OK || rows[1].Load != 3 {
		t.Errorf("390 ms of 400: ok %t, load %v; want ok, 3", *rows[1].OK, rows[1].Load)
	}
	if *rows[2].OK {
		t.Error("1000 creates a second of at least 1500 are ok")
	}
}

func TestOnly(t *testing.T) {
	r, err := newResults("^api\\.watch", func() float64 { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	if !r.wants("api.watch-p99") || r.wants("api.creates") || !r.wantsGroup("api") || r.wantsGroup("vm") {
		t.Error("--only ^api\\.watch chooses the wrong figures")
	}
	for pattern, want := range map[string]string{"nothing": "matches none of the figures: commands.version ", "(": "missing closing"} {
		if _, err := newResults(pattern, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--only %q: error %v, want one with %q", pattern, err, want)
		}
	}
}

func TestTable(t *testing.T) {
	r, err := newResults("", func() float64 { return 0.25 })
	if err != nil {
		t.Fatal(err)
	}
	r.add("commands.version", 6)
	r.add("commands.version", 8)
	r.add("api.creates", 1234.5)
	r.add("api.patches", 900)
	var b strings.Builder
	if err := printTable(&b, r.rows()); err != nil {
		t.Fatal(err)
	}
	want := `| figure                        | median |  min |  max | runs | unit | target | of target |       | load |
|-------------------------------|-------:|-----:|-----:|-----:|------|-------:|----------:|-------|-----:|
| rdd version                   |   7.00 | 6.00 | 8.00 |    2 | ms   |   ≤ 12 |      0.58 | ok    |  0.2 |
| creates per second, 8 clients |   1234 | 1234 | 1234 |    1 | 1/s  | ≥ 1500 |      0.82 | under |  0.2 |
| patches per second, 8 clients |    900 |  900 |  900 |    1 | 1/s  |        |           |       |  0.2 |
`
	if b.String() != want {
		t.Errorf("table:\n%s\nwant:\n%s", b.String(), want)
	}
}
