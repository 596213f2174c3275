package controlplane

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/user"

	"rancherdesktop.io/rdd/internal/instance"
)

// ownerName is the user that the token stands for: whoever can read the file.
const ownerName = "owner"

// ownerByToken authenticates one client, by its token. No path has anonymous access.
func ownerByToken(token string) authenticator.Request {
	want := sha256.Sum256([]byte(token))
	owner := &user.DefaultInfo{Name: ownerName, Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}}
	return bearertoken.New(authenticator.TokenFunc(func(_ context.Context, given string) (*authenticator.Response, bool, error) {
		got := sha256.Sum256([]byte(given))
		if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			return nil, false, nil
		}
		return &authenticator.Response{User: owner}, true, nil
	}))
}

// localHostOnly refuses requests for another host name. It stops web pages whose name an
// attacker made resolve to loopback (DNS rebinding).
func localHostOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if own := instance.Loopback(); host != own && host != "localhost" {
			http.Error(w, "this server answers for "+own+" and localhost only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
