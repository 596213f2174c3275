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
func printTable(w io.Writer, rows []row) error {
	cells := [][]string{{"figure", "median", "min", "max", "runs", "unit", "target", "of target", "", "load"}}
	for _, r := range rows {
		cells = append(cells, r.cells())
	}
	return printAligned(w, cells)
}

func (r row) cells() []string {
	target, ratio, mark := "", "", ""
	if r.OK != nil {
		target, ratio, mark = "≤ "+strconv.FormatFloat(r.Target, 'f', -1, 64), fmt.Sprintf("%.2f", r.Ratio), "over"
		if *r.OK {
			mark = "ok"
		}
	}
	return []string{
		r.Title, short(r.Median), short(r.Min), short(r.Max), strconv.Itoa(r.N), r.Unit, target, ratio, mark, fmt.Sprintf("%.1f", r.Load),
	}
}

// short prints three significant digits, and no fewer than a whole number has.
func short(v float64) string {
	if v == 0 {
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', max(digits, 0), 64)
}

// printAligned writes cells, the first line being the head. Texts are flush left, numbers right.
func printAligned(w io.Writer, cells [][]string) error {
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell), 3)
		}
	}
	left := func(column int) bool {
		name := cells[0][column]
		return name == "figure" || name == "unit" || name == ""
	}
	var b strings.Builder
	for n, line := range cells {
		for i, cell := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if left(i) {
				b.WriteString("| " + cell + pad + " ")
			} else {
				b.WriteString("| " + pad + cell + " ")
			}
		}
		b.WriteString("|\n")
		if n > 0 {
			continue
		}
		for i, width := range widths {
			if left(i) {
				b.WriteString("|" + strings.Repeat("-", width+2))
			} else {
				b.WriteString("|" + strings.Repeat("-", width+1) + ":")
			}
		}
		b.WriteString("|\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
