package tray

import "embed"

const iconFormat = "ico"

//go:embed icons/*.ico
var iconFiles embed.FS
