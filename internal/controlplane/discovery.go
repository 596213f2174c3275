package controlplane

import (
	"slices"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apihelpers"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/tools/cache"
)

// onDefinitionChange calls noticed, always from one goroutine, when a definition is made,
// changed or deleted.
func (s *Server) onDefinitionChange(noticed func()) error {
	_, err := s.custom.Informers.Apiextensions().V1().CustomResourceDefinitions().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { noticed() },
		UpdateFunc: func(any, any) { noticed() },
		DeleteFunc: func(any) { noticed() },
	})
	return err
}

// establishedDefinitions are those whose kinds are served, by name.
func (s *Server) establishedDefinitions() []*apiextensionsv1.CustomResourceDefinition {
	all, err := s.custom.Informers.Apiextensions().V1().CustomResourceDefinitions().Lister().List(labels.Everything())
	if err != nil {
		return nil // an informer's lister doesn't fail
	}
	all = slices.DeleteFunc(all, func(d *apiextensionsv1.CustomResourceDefinition) bool {
		return !apihelpers.IsCRDConditionTrue(d, apiextensionsv1.Established)
	})
	slices.SortFunc(all, func(a, b *apiextensionsv1.CustomResourceDefinition) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// listCustomGroups keeps the custom groups in the plain list of groups, which clients
// older than aggregated discovery read. Usually the aggregator does that.
func (s *Server) listCustomGroups() error {
	groups := s.native.DiscoveryGroupManager
	groups.AddGroup(apiGroup(apiextensionsv1.GroupName, []string{apiextensionsv1.SchemeGroupVersion.Version}))
	listed := map[string]bool{}
	return s.onDefinitionChange(func() {
		versions := map[string][]string{}
		for _, d := range s.establishedDefinitions() {
			for _, v := range d.Spec.Versions {
				if v.Served {
					versions[d.Spec.Group] = append(versions[d.Spec.Group], v.Name)
				}
			}
		}
		for group, served := range versions {
			groups.AddGroup(apiGroup(group, served))
			listed[group] = true
		}
		for group := range listed {
			if versions[group] == nil {
				groups.RemoveGroup(group)
				delete(listed, group)
			}
		}
	})
}

// apiGroup describes a group, the most mature version first.
func apiGroup(name string, versions []string) metav1.APIGroup {
	slices.SortFunc(versions, func(a, b string) int { return version.CompareKubeAwareVersionStrings(b, a) })
	group := metav1.APIGroup{Name: name}
	for _, v := range slices.Compact(versions) {
		group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{
			GroupVersion: schema.GroupVersion{Group: name, Version: v}.String(),
			Version:      v,
		})
	}
	group.PreferredVersion = group.Versions[0]
	return group
}
