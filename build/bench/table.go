package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// printTable writes rows as one Markdown table whose columns are aligned in a terminal as well.
// Text is aligned to the left, numbers to the right.
func printTable(w io.Writer, rows []row) error {
	lines := [][]string{{"figure", "median", "min", "max", "runs", "unit", "target", "of target", "", "load"}}
	left := map[int]bool{0: true, 5: true, 8: true}
	for _, r := range rows {
		lines = append(lines, r.cells())
	}
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
		}
	}
	rule := make([]string, len(widths))
	for i, width := range widths {
		rule[i] = strings.Repeat("-", width+1) + ":"
		if left[i] {
			rule[i] = strings.Repeat("-", width+2)
			widths[i] = -width // left-aligned, for Printf's *
		}
	}
	var b strings.Builder
	for n, line := range lines {
		for i, cell := range line {
			fmt.Fprintf(&b, "| %*s ", widths[i], cell)
		}
		b.WriteString("|\n")
		if n == 0 {
			b.WriteString("|" + strings.Join(rule, "|") + "|\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r row) cells() []string {
	target, ratio, mark := "", "", ""
	if r.OK != nil {
		bound, missed := "≤ ", "over"
		if r.Unit == perSecond {
			bound, missed = "≥ ", "under"
		}
		target, ratio, mark = bound+strconv.FormatFloat(r.Target, 'f', -1, 64), fmt.Sprintf("%.2f", r.Ratio), missed
		if *r.OK {
			mark = "ok"
		}
	}
	return []string{
		r.Title, short(r.Median), short(r.Min), short(r.Max), strconv.Itoa(r.N), r.Unit, target, ratio, mark, fmt.Sprintf("%.1f", r.Load),
	}
}

// short formats v with three significant digits, but never shortens its integer part.
func short(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', max(digits, 0), 64)
}
