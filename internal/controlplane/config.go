// Package controlplane is a Kubernetes API server inside the service: namespaces,
// secrets, config maps, events, leases and custom resources on one Store. It listens
// on loopback with TLS and a bearer token, serves the service's own controllers in
// memory, deletes the contents of namespaces and collects what lost its owner. The
// service builds one, runs it and stops it; nothing else imports k8s.io/kubernetes
// or k8s.io/apiserver.
package controlplane

import (
	"errors"
	"net/http"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"rancherdesktop.io/rdd/internal/admission"
	"rancherdesktop.io/rdd/internal/datastore"
	"rancherdesktop.io/rdd/internal/view"
)

// Config says what to serve.
type Config struct {
	// Dir keeps the serving certificate, its key, the token and the last port. It is
	// made, mode 0700, when missing; its files are 0600 from the start.
	Dir string
	// Port on loopback to listen on; 0: the last run's, or any other if that one is taken.
	Port int
	// Store holds the objects. It must outlive Run.
	Store *datastore.Store
	// CRDs are created, or brought up to date, at each start. Clients can neither delete
	// nor change them.
	CRDs []*apiextensionsv1.CustomResourceDefinition
	// Live are resources that are served from memory; nothing of them is stored. All of a group must be here.
	Live []view.Resource
	// Admission guards writes, beside the rules in the CRDs.
	Admission []admission.Admission
	// Namespaces exist from the start, beside "default". None of them can be deleted.
	Namespaces []string
	// Handlers answer further paths, for authenticated clients only. A path that
	// ends in / stands for everything below it.
	Handlers map[string]http.Handler
	// Step is told, in a few words, what New and Run are doing; nil if nobody asks.
	Step func(string)
}

func (c *Config) check() error {
	if c.Dir == "" || c.Store == nil {
		return errors.New("controlplane: Config needs Dir and Store")
	}
	return nil
}

func (c *Config) step(what string) {
	if c.Step != nil {
		c.Step(what)
	}
}

// Endpoint is how a client outside the process reaches the server.
type Endpoint struct {
	URL   string
	CA    []byte // PEM
	Token string // a secret
}

// Kubeconfig is the endpoint as a kubectl configuration with one context. It holds
// the token: keep it in a file of mode 0600.
func (e Endpoint) Kubeconfig(contextName string) ([]byte, error) {
	return clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{contextName: {Server: e.URL, CertificateAuthorityData: e.CA}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{contextName: {Token: e.Token}},
		Contexts:       map[string]*clientcmdapi.Context{contextName: {Cluster: contextName, AuthInfo: contextName}},
		CurrentContext: contextName,
	})
}
