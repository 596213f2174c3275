package controlplane

import (
	"net/http"

	"k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/filters/impersonation"
	genericserver "k8s.io/apiserver/pkg/server"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
)

// handlerChain is what a request passes on its way to the API, from the last filter to
// the first. It is the stock chain (genericserver.DefaultBuildHandlerChain) without the
// filters that have nothing to do here, but cost a sixth of a get: tracing, the timing of
// each filter, and authorization, since the token allows everything.
func (s *Server) handlerChain(api http.Handler, c *genericserver.Config) http.Handler {
	h := genericfilters.WithMaxInFlightLimit(api, c.MaxRequestsInFlight, c.MaxMutatingRequestsInFlight, c.LongRunningFunc)
	h = impersonation.WithConstrainedImpersonation(h, c.Authorization.Authorizer, c.Serializer)
	h = filters.WithAuthentication(h, c.Authentication.Authenticator, filters.Unauthorized(c.Serializer), c.Authentication.APIAudiences, c.Authentication.RequestHeaderConfig)
	h = filters.WithWarningRecorder(h)
	h = genericfilters.WithTimeoutForNonLongRunningRequests(h, c.LongRunningFunc)
	h = filters.WithRequestDeadline(h, nil, nil, c.LongRunningFunc, c.Serializer, c.RequestTimeout)
	h = genericfilters.WithWaitGroup(h, c.LongRunningFunc, c.NonLongRunningRequestWaitGroup)
	h = genericfilters.WithWatchTerminationDuringShutdown(h, shutdown(c.ShutdownInitiatedNotify()), c.WatchRequestWaitGroup)
	h = filters.WithCacheControl(h)
	h = genericfilters.WithHTTPLogging(h)
	h = filters.WithRequestInfo(h, c.RequestInfoResolver)
	h = filters.WithRequestReceivedTimestamp(h)
	h = filters.WithMuxAndDiscoveryComplete(h, s.installed)
	h = genericfilters.WithPanicRecovery(h, c.RequestInfoResolver)
	h = filters.WithAuditInit(h) // the handlers of patches need it
	return localHostOnly(h)
}

// shutdown is closed when the server begins to stop.
type shutdown <-chan struct{}

func (s shutdown) ShuttingDown() <-chan struct{} { return s }

// awaitInstalled closes s.installed when all kinds are served. Until then, a path that isn't
// known is answered with 503 and not with 404, on which the garbage collector would act.
func (s *Server) awaitInstalled(stop <-chan struct{}) {
	for _, installed := range s.native.MuxAndDiscoveryCompleteSignals() {
		select {
		case <-installed:
		case <-stop:
			return
		}
	}
	close(s.installed)
}
