// Package api is the parent of our API groups. It names the controllers that work on them, and holds the command
// that generates deep copies and CustomResourceDefinitions; `make verify` runs it and compares.
package api

//go:generate go run sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0 object crd:maxDescLen=512 paths=./... output:crd:dir=./crds
