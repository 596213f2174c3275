package diagnose

// Report is what a diagnosis found.
type Report struct {
	Instance string    `json:"instance"`
	Version  string    `json:"version"`
	OS       string    `json:"os"`
	Arch     string    `json:"arch"`
	Findings []Finding `json:"findings"`
}

// Count is the number of findings of that severity.
func (r Report) Count(s Severity) (n int) {
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}
