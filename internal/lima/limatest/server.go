package limatest

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// Server serves Image at every path, in the way that its fields say.
type Server struct {
	Status   int           // 0: all is well
	Cut      int           // break off so many times, after half of what was asked for
	Hold     chan struct{} // wait after the first half, until this is closed
	Tag      string        // the file's, if any
	Modified time.Time     // the file's, if any
	NoRanges bool          // serve only ever the whole

	Served int      // how often a file was asked for
	Ranges []string // that were asked for
}

// ServeHTTP is called for each request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Status != 0 {
		w.WriteHeader(s.Status)
		return
	}
	if r.Method == http.MethodGet {
		s.Served++
		s.Ranges = append(s.Ranges, r.Header.Get("Range"))
	}
	if s.Hold != nil && r.Header.Get("Range") != "" { // the first half was served before
		<-r.Context().Done()
		return
	}
	if s.NoRanges {
		r.Header.Del("Range")
	}
	if s.Tag != "" {
		w.Header().Set("ETag", s.Tag)
	}
	http.ServeContent(&halfWriter{w, s, r}, r, "image.raw", s.Modified, bytes.NewReader(Image()))
}

// halfWriter breaks off, or waits, after the first half of an answer.
type halfWriter struct {
	http.ResponseWriter
	s *Server
	r *http.Request
}

// ReadFrom is what http.ServeContent's copying uses.
func (h *halfWriter) ReadFrom(from io.Reader) (int64, error) {
	b, err := io.ReadAll(from)
	if err != nil {
		return 0, err
	}
	_, _ = h.Write(b[:len(b)/2])
	h.ResponseWriter.(http.Flusher).Flush()
	switch {
	case h.s.Cut > 0:
		h.s.Cut--
		panic(http.ErrAbortHandler)
	case h.s.Hold != nil:
		select {
		case <-h.s.Hold:
		case <-h.r.Context().Done():
			return 0, h.r.Context().Err()
		}
	}
	_, err = h.Write(b[len(b)/2:])
	return int64(len(b)), err
}
