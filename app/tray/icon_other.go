//go:build !windows

package tray

import "embed"

const iconFormat = "png"

//go:embed icons/*.png
var iconFiles embed.FS
