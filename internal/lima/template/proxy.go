package template

import (
	"maps"
	"net"
	"strings"

	"github.com/lima-vm/lima/pkg/limayaml"
	"github.com/lima-vm/lima/pkg/networks"

	"rancherdesktop.io/rdd/internal/lima"
)

// proxyNames are the environment variables that tell programs which proxies to use.
var proxyNames = []string{"ftp_proxy", "http_proxy", "https_proxy", "no_proxy"}

// setProxies adds the host's proxies, as lookup finds them, to a template's env. A proxy on the host itself gets the
// address by which the guest reaches the host. Lima would do the same, but it decodes the password (%24) and logs it.
func setProxies(y *limayaml.LimaYAML, lookup func(string) (string, bool)) error {
	env := map[string]string{}
	for _, lower := range proxyNames {
		upper := strings.ToUpper(lower)
		value, ok := "", false
		// The host's value wins over the template's, and the lower case over the upper.
		for _, name := range []string{upper, lower} {
			if v, has := y.Env[name]; has {
				value, ok = v, true
			}
			delete(y.Env, name)
		}
		if y.PropagateProxyEnv == nil || *y.PropagateProxyEnv {
			for _, name := range []string{upper, lower} {
				if v, has := lookup(name); has {
					value, ok = v, true
					if err := checkEnvValue(v); err != nil {
						return lima.Permanentf("the environment variable %s of the service can't be passed on to the guest: %w", name, err)
					}
				}
			}
		}
		if !ok || value == "" {
			continue
		}
		if lower != "no_proxy" {
			value = fromGuest(value)
		}
		env[lower], env[upper] = value, value
	}
	maps.Copy(env, y.Env)
	y.Env = env
	y.PropagateProxyEnv = new(false)
	return nil
}

// fromGuest replaces a loopback address in a proxy's URL by the address by which the guest reaches the host. It changes
// nothing else.
func fromGuest(proxy string) string {
	begin, end := hostIn(proxy)
	host, port, err := net.SplitHostPort(proxy[begin:end])
	if err != nil {
		host, port = strings.Trim(proxy[begin:end], "[]"), ""
	}
	if !loopback(host) {
		return proxy
	}
	there := networks.SlirpGateway
	if port != "" {
		there = net.JoinHostPort(there, port)
	}
	return proxy[:begin] + there + proxy[end:]
}

// hostIn finds the host and its port in a proxy's URL, after the scheme, which may be missing, and the credentials.
func hostIn(proxy string) (begin, end int) {
	if i := strings.Index(proxy, "://"); i >= 0 {
		begin = i + len("://")
	}
	end = len(proxy)
	if i := strings.IndexAny(proxy[begin:], "/?#"); i >= 0 {
		end = begin + i
	}
	if i := strings.LastIndex(proxy[begin:end], "@"); i >= 0 {
		begin += i + 1
	}
	return begin, end
}

// ProxyCredentials lists the users and passwords in the URLs of env's proxies, such as "me:secret@".
func ProxyCredentials(env map[string]string) (all []string) {
	for _, lower := range proxyNames {
		for _, name := range []string{lower, strings.ToUpper(lower)} {
			begin, end := hostIn(env[name])
			start := strings.LastIndex(env[name][:begin], "/") + 1
			if credentials := env[name][start:begin]; credentials != "" && end > begin {
				all = append(all, credentials)
			}
		}
	}
	return all
}

func loopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	return net.ParseIP(host).IsLoopback() // false for what is no address
}
