package main

import (
	"fmt"
	"math"
)

// shape is the distance of a point of the unit square from an edge, negative inside.
type shape func(x, y float64) float64

// icons returns the tray's icons by name: a box, whose inside shows the state, and a warning sign.
func icons() map[string]shape {
	box := rectangle(0.5, 0.5, 0.40, 0.40, 0.13)
	frame := outline(box, 0.10)
	all := map[string]shape{
		"stopped":  frame,
		"running":  without(box, polygon(0.40, 0.30, 0.72, 0.50, 0.40, 0.70)),
		"stopping": with(frame, rectangle(0.5, 0.5, 0.15, 0.15, 0.02)),
		"error": without(rounded(polygon(0.5, 0.14, 0.90, 0.86, 0.10, 0.86), 0.05),
			with(rectangle(0.5, 0.52, 0.045, 0.14, 0.04), rectangle(0.5, 0.76, 0.05, 0.05, 0.05))),
	}
	const frames = 4
	for i := range frames { // the box fills up
		half := 0.25 * float64(i+1) / frames
		all[fmt.Sprintf("starting-%d", i)] = with(frame, rectangle(0.5, 0.75-half, 0.25, half, 0.02))
	}
	return all
}

func with(a, b shape) shape {
	return func(x, y float64) float64 { return min(a(x, y), b(x, y)) }
}

func without(a, b shape) shape {
	return func(x, y float64) float64 { return max(a(x, y), -b(x, y)) }
}

// outline returns a line along the inside of the edge.
func outline(s shape, width float64) shape {
	return func(x, y float64) float64 { return math.Abs(s(x, y)+width/2) - width/2 }
}

// rounded grows a shape by radius, which rounds its corners.
func rounded(s shape, radius float64) shape {
	return func(x, y float64) float64 { return s(x, y) - radius }
}

// rectangle returns a rectangle with its centre at cx, cy.
func rectangle(cx, cy, halfWidth, halfHeight, radius float64) shape {
	radius = min(radius, halfWidth, halfHeight)
	return func(x, y float64) float64 {
		dx, dy := math.Abs(x-cx)-halfWidth+radius, math.Abs(y-cy)-halfHeight+radius
		return math.Hypot(max(dx, 0), max(dy, 0)) + min(max(dx, dy), 0) - radius
	}
}

// polygon returns a convex polygon. Its corners, x, y, x, y…, go clockwise on the screen.
func polygon(corners ...float64) shape {
	return func(x, y float64) float64 {
		inside, nearest := math.Inf(-1), math.Inf(1)
		for i := 0; i < len(corners); i += 2 {
			ax, ay := corners[i], corners[i+1]
			bx, by := corners[(i+2)%len(corners)], corners[(i+3)%len(corners)]
			length := math.Hypot(bx-ax, by-ay)
			ux, uy := (bx-ax)/length, (by-ay)/length
			inside = max(inside, (x-ax)*uy-(y-ay)*ux)
			along := min(max((x-ax)*ux+(y-ay)*uy, 0), length)
			nearest = min(nearest, math.Hypot(x-ax-along*ux, y-ay-along*uy))
		}
		if inside < 0 {
			return inside
		}
		return nearest
	}
}
