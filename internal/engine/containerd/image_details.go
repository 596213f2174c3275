package containerd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	content "github.com/containerd/containerd/api/services/content/v1"
	"github.com/containerd/containerd/api/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxBlob bounds the size of a manifest or configuration that is read.
const maxBlob = 4 << 20

// imageDetails is what the parts of an image say about it.
type imageDetails struct {
	created  time.Time
	size     int64 // of what was downloaded, for one platform
	labels   map[string]string
	complete bool // all parts were there
}

// describe reads the parts of an image: its manifest for the guest's platform, and its configuration. An image of which parts
// are missing has fewer details.
func (s *session) describe(ctx context.Context, target *types.Descriptor) *imageDetails {
	d := &imageDetails{size: target.GetSize()}
	text, err := s.blob(ctx, target.GetDigest())
	if err != nil {
		return d
	}
	var index ocispec.Index
	if json.Unmarshal(text, &index) == nil && len(index.Manifests) > 0 {
		if text, err = s.blob(ctx, forGuest(index.Manifests)); err != nil {
			return d
		}
	}
	var manifest ocispec.Manifest
	if json.Unmarshal(text, &manifest) != nil || manifest.Config.Digest == "" {
		return d
	}
	d.size = manifest.Config.Size
	for _, l := range manifest.Layers {
		d.size += l.Size
	}
	if text, err = s.blob(ctx, string(manifest.Config.Digest)); err != nil {
		return d
	}
	var config ocispec.Image
	if d.complete = json.Unmarshal(text, &config) == nil; d.complete {
		d.labels = config.Config.Labels
		if config.Created != nil {
			d.created = *config.Created
		}
	}
	return d
}

// forGuest chooses the manifest for the guest's platform, which is this host's.
func forGuest(manifests []ocispec.Descriptor) string {
	for _, m := range manifests {
		if m.Platform != nil && m.Platform.OS == "linux" && m.Platform.Architecture == runtime.GOARCH {
			return string(m.Digest)
		}
	}
	return string(manifests[0].Digest)
}

// blob reads a small part of an image.
func (s *session) blob(ctx context.Context, digest string) (text []byte, err error) {
	stream, err := s.content.Read(ctx, &content.ReadContentRequest{Digest: digest})
	if err != nil {
		return nil, err
	}
	for {
		part, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return text, nil
		case err != nil:
			return nil, err
		case len(text)+len(part.GetData()) > maxBlob:
			return nil, fmt.Errorf("%s is too large", digest)
		}
		text = append(text, part.GetData()...)
	}
}
