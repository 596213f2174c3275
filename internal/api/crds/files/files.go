// Package files embeds the text of the CustomResourceDefinitions of our API groups. It is apart from package crds, because
// clients read the App's properties from it and shouldn't link the types of definitions.
package files

import "embed"

// All has one file per definition, named GROUP_PLURAL.yaml.
//
//go:embed *.yaml
var All embed.FS
