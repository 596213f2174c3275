// Command icons draws the icons of the tray (PNG, and ICO for Windows) and of the window. `make generate` calls it,
// and `make verify` compares.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "icons: %v\n", err)
		os.Exit(1)
	}
}

// Sizes in pixels. Panels scale icons; for Windows it is the size that it shows at a scale of 200 %.
const (
	sizePNG    = 48
	sizeICO    = 32
	sizeWindow = 128
)

// panels has the colour of the icons for light and dark panels, and that of their rims, which keep an icon visible
// on a panel of the other kind.
var panels = map[string]struct{ ink, rim color.NRGBA }{
	"light": {color.NRGBA{0x2b, 0x2d, 0x31, 0xff}, color.NRGBA{0xff, 0xff, 0xff, 0xb0}},
	"dark":  {color.NRGBA{0xf6, 0xf6, 0xf7, 0xff}, color.NRGBA{0x00, 0x00, 0x00, 0xb0}},
}

// run writes the tray's icons into the folder args[0], and the window's into the file args[1].
func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: icons DIR FILE.png")
	}
	if err := writePNG(args[1], windowIcon(sizeWindow)); err != nil {
		return err
	}
	if err := os.MkdirAll(args[0], 0o755); err != nil {
		return err
	}
	for name, icon := range icons() {
		for panel, colours := range panels {
			path := filepath.Join(args[0], name+"-"+panel)
			if err := writePNG(path+".png", draw(icon, sizePNG, colours.ink, colours.rim)); err != nil {
				return err
			}
			if err := os.WriteFile(path+".ico", ico(draw(icon, sizeICO, colours.ink, colours.rim)), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func writePNG(path string, img image.Image) error {
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		return err
	}
	return os.WriteFile(path, file.Bytes(), 0o644)
}

// draw fills a shape of the unit square with ink, and puts a rim around it.
func draw(s shape, size int, ink, rim color.NRGBA) *image.NRGBA {
	const rimWidth = 0.045
	return paint(size, func(_ float64, cover func(shape) float64) color.NRGBA {
		return over(ink, cover(s), rim, cover(rounded(s, rimWidth)))
	})
}

// The colours of the window's icon, at its top and its bottom.
var top, bottom = color.NRGBA{0x3a, 0xa6, 0xb9, 0xff}, color.NRGBA{0x16, 0x60, 0x7a, 0xff}

// windowIcon draws the icon of the window, a running machine. build/package has the same icon for the menu of programs.
func windowIcon(size int) *image.NRGBA {
	machine := rectangle(0.5, 0.5, 0.40, 0.40, 0.15)
	sign := rounded(polygon(0.40, 0.30, 0.72, 0.50, 0.40, 0.70), 0.015)
	return paint(size, func(y float64, cover func(shape) float64) color.NRGBA {
		white, down := color.NRGBA{0xff, 0xff, 0xff, 0xff}, min(max((y-0.1)/0.8, 0), 1)
		return over(white, cover(sign), over(bottom, down, top, 1), cover(machine))
	})
}

// paint sets the colour of each pixel. The arguments of colour are the pixel's y in the unit square, and a function
// that returns how much of the pixel a shape covers.
func paint(size int, colour func(y float64, cover func(shape) float64) color.NRGBA) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	for i := range size {
		for j := range size {
			x, y := (float64(i)+0.5)/float64(size), (float64(j)+0.5)/float64(size)
			img.SetNRGBA(i, j, colour(y, func(s shape) float64 { return min(max(0.5-s(x, y)*float64(size), 0), 1) }))
		}
	}
	return img
}

// over puts one colour over another; a and b are how much of the pixel they cover.
func over(top color.NRGBA, a float64, below color.NRGBA, b float64) color.NRGBA {
	a *= float64(top.A) / 255
	b *= float64(below.A) / 255 * (1 - a)
	if a+b == 0 {
		return color.NRGBA{}
	}
	mix := func(top, below uint8) uint8 { return uint8(math.Round((float64(top)*a + float64(below)*b) / (a + b))) }
	return color.NRGBA{mix(top.R, below.R), mix(top.G, below.G), mix(top.B, below.B), uint8(math.Round(255 * (a + b)))}
}

// ico packs one picture with 32 bits a pixel. Source: ICONDIR, ICONDIRENTRY and BITMAPINFOHEADER of the
// Windows API; the height counts the picture and its mask, rows go from the bottom up.
func ico(img *image.NRGBA) []byte {
	size := img.Rect.Dx()
	mask := size * ((size + 31) / 32 * 4)
	var b bytes.Buffer
	put := func(values ...any) {
		for _, v := range values {
			_ = binary.Write(&b, binary.LittleEndian, v)
		}
	}
	put(uint16(0), uint16(1), uint16(1))
	put(uint8(size), uint8(size), uint8(0), uint8(0), uint16(1), uint16(32), uint32(40+4*size*size+mask), uint32(6+16))
	put(uint32(40), int32(size), int32(2*size), uint16(1), uint16(32), [6]uint32{})
	for y := size - 1; y >= 0; y-- {
		for x := range size {
			c := img.NRGBAAt(x, y)
			put(c.B, c.G, c.R, c.A)
		}
	}
	put(make([]byte, mask)) // empty: the alpha channel replaces it
	return b.Bytes()
}
