package lifecycle

// HelloPath is where a run's server says, to an authenticated client, which run it is.
const HelloPath = "/rdd/hello"

// Protocol is the version of what clients and service say to each other. It changes when an older
// client would misunderstand a newer service, or the other way round.
const Protocol = 1

// Greeting is the answer at HelloPath.
type Greeting struct {
	Nonce    string `json:"nonce"`
	Version  string `json:"version"`
	Protocol int    `json:"protocol"`
}
