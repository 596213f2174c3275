package window

import "image"

// How much of a window's title bar must be visible so that the user can drag it, in pixels.
const gripWidth, gripHeight = 100, 30

// reachable returns where a window should be: where it is, if the user can drag it there, else in the centre of the first
// screen, and no larger than that. Screens are without their panels. If there are none, nothing is known.
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
