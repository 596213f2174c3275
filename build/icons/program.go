package main

import (
	"image"
	"image/color"
)

// The colours of the program's icon, at its top and its bottom.
var top, bottom = color.NRGBA{0x3a, 0xa6, 0xb9, 0xff}, color.NRGBA{0x16, 0x60, 0x7a, 0xff}

// program draws the program's icon, as build/package has it for the menu of programs: a machine that runs.
func program(size int) *image.NRGBA {
	box := rectangle(0.5, 0.5, 0.40, 0.40, 0.15)
	sign := rounded(polygon(0.40, 0.30, 0.72, 0.50, 0.40, 0.70), 0.015)
	white := color.NRGBA{0xff, 0xff, 0xff, 0xff}
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	for i := range size {
		for j := range size {
			x, y := (float64(i)+0.5)/float64(size), (float64(j)+0.5)/float64(size)
			cover := func(s shape) float64 { return min(max(0.5-s(x, y)*float64(size), 0), 1) }
			down := min(max((y-0.1)/0.8, 0), 1)
			img.SetNRGBA(i, j, over(white, cover(sign), over(bottom, down, top, 1), cover(box)))
		}
	}
	return img
}
