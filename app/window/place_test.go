package window

import (
	"image"
	"testing"
)

func TestAWindowWhoseScreenIsGoneOpensOnAnotherOne(t *testing.T) {
	laptop, right := image.Rect(0, 27, 1280, 800), image.Rect(1280, 0, 3200, 1080)
	for name, tc := range map[string]struct {
		window  image.Rectangle
		screens []image.Rectangle
		want    image.Rectangle
	}{
		"where it was":             {image.Rect(30, 50, 930, 650), []image.Rectangle{laptop}, image.Rect(30, 50, 930, 650)},
		"on the second screen":     {image.Rect(2000, 50, 2900, 650), []image.Rectangle{laptop, right}, image.Rect(2000, 50, 2900, 650)},
		"which is gone":            {image.Rect(2000, 50, 2900, 650), []image.Rectangle{laptop}, image.Rect(190, 113, 1090, 713)},
		"larger than what is left": {image.Rect(1300, 0, 3200, 1080), []image.Rectangle{laptop}, laptop},
		"hanging over an edge":     {image.Rect(1100, 600, 2000, 1200), []image.Rectangle{laptop}, image.Rect(1100, 600, 2000, 1200)},
		"only a corner is seen":    {image.Rect(1250, 780, 2150, 1380), []image.Rectangle{laptop}, image.Rect(190, 113, 1090, 713)},
		"its title is above":       {image.Rect(100, -500, 1000, 100), []image.Rectangle{laptop}, image.Rect(190, 113, 1090, 713)},
		"nothing is known":         {image.Rect(2000, 50, 2900, 650), nil, image.Rect(2000, 50, 2900, 650)},
	} {
		if got := reachable(tc.window, tc.screens); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
