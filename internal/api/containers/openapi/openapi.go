// Package openapi describes the objects of the container engine for the API server, which has no definition of theirs to
// read: `kubectl explain` and clients' checks rely on it. It is generated from the types.
package openapi
