package window

import "image"

// How much of a window's upper edge has to be seen, so that it can be taken hold of, in pixels.
const gripWidth, gripHeight = 100, 30

// reachable returns where a window is to be: where it is, if a person can take hold of it there, else in the
// middle of the first screen, and no larger than that. Screens are what panels leave of each; without any
// nothing is known.
func reachable(window image.Rectangle, screens []image.Rectangle) image.Rectangle {
	if len(screens) == 0 {
		return window
	}
	edge := image.Rect(window.Min.X, window.Min.Y, window.Max.X, min(window.Max.Y, window.Min.Y+2*gripHeight))
	for _, screen := range screens {
		if seen := edge.Intersect(screen); seen.Dx() >= gripWidth && seen.Dy() >= gripHeight {
			return window
		}
	}
	screen := screens[0]
	size := image.Pt(min(window.Dx(), screen.Dx()), min(window.Dy(), screen.Dy()))
	corner := screen.Min.Add(screen.Size().Sub(size).Div(2))
	return image.Rectangle{corner, corner.Add(size)}
}
