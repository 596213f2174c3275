package controlplane

import (
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericserver "k8s.io/apiserver/pkg/server"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	authenticationrest "k8s.io/kubernetes/pkg/registry/authentication/rest"
	authorizationrest "k8s.io/kubernetes/pkg/registry/authorization/rest"
	coordinationrest "k8s.io/kubernetes/pkg/registry/coordination/rest"
	configmapstore "k8s.io/kubernetes/pkg/registry/core/configmap/storage"
	eventstore "k8s.io/kubernetes/pkg/registry/core/event/storage"
	namespacestore "k8s.io/kubernetes/pkg/registry/core/namespace/storage"
	secretstore "k8s.io/kubernetes/pkg/registry/core/secret/storage"
	eventsrest "k8s.io/kubernetes/pkg/registry/events/rest"
)

// eventTTL is how long an event is kept.
const eventTTL = time.Hour

// servedVersions lists the built-in groups; custom ones come with their definitions.
func servedVersions() *serverstorage.ResourceConfig {
	c := serverstorage.NewResourceConfig()
	c.EnableVersions(
		corev1.SchemeGroupVersion,
		eventsv1.SchemeGroupVersion,
		coordinationv1.SchemeGroupVersion,
		authenticationv1.SchemeGroupVersion,
		authorizationv1.SchemeGroupVersion,
	)
	return c
}

// storageProvider makes the storage of one API group.
type storageProvider interface {
	GroupName() string
	NewRESTStorage(serverstorage.APIResourceConfigSource, generic.RESTOptionsGetter) (genericserver.APIGroupInfo, error)
}

// installGroups serves the built-in kinds.
func installGroups(s *genericserver.GenericAPIServer, c *genericserver.Config) error {
	core, err := coreGroup(c.RESTOptionsGetter)
	if err != nil {
		return fmt.Errorf("API group core: %w", err)
	}
	if err := s.InstallLegacyAPIGroup(genericserver.DefaultLegacyAPIPrefix, &core); err != nil {
		return err
	}
	providers := []storageProvider{
		eventsrest.RESTStorageProvider{TTL: eventTTL},
		coordinationrest.RESTStorageProvider{},
		authenticationrest.RESTStorageProvider{Authenticator: c.Authentication.Authenticator},
		authorizationrest.RESTStorageProvider{Authorizer: c.Authorization.Authorizer, RuleResolver: c.RuleResolver},
	}
	var groups []*genericserver.APIGroupInfo
	for _, p := range providers {
		group, err := p.NewRESTStorage(c.MergedResourceConfig, c.RESTOptionsGetter)
		if err != nil {
			return fmt.Errorf("API group %s: %w", p.GroupName(), err)
		}
		groups = append(groups, &group)
	}
	return s.InstallAPIGroups(groups...)
}

// coreGroup is the storage of the core kinds that are served. The stock provider makes many
// more kinds, whose watches run even when they are switched off.
func coreGroup(g generic.RESTOptionsGetter) (genericserver.APIGroupInfo, error) {
	group := genericserver.NewDefaultAPIGroupInfo(corev1.GroupName, legacyscheme.Scheme, legacyscheme.ParameterCodec, legacyscheme.Codecs)
	events, err := eventstore.NewREST(g, uint64(eventTTL.Seconds()))
	if err != nil {
		return group, err
	}
	secrets, err := secretstore.NewREST(g)
	if err != nil {
		return group, err
	}
	configMaps, err := configmapstore.NewREST(g)
	if err != nil {
		return group, err
	}
	namespaces, status, finalize, err := namespacestore.NewREST(g)
	if err != nil {
		return group, err
	}
	group.VersionedResourcesStorageMap[corev1.SchemeGroupVersion.Version] = map[string]rest.Storage{
		"events":              events,
		"secrets":             secrets,
		"configmaps":          configMaps,
		"namespaces":          namespaces,
		"namespaces/status":   status,
		"namespaces/finalize": finalize,
	}
	return group, nil
}
