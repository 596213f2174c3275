package controlplane

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ownNamespaces are those that always exist.
func (s *Server) ownNamespaces() []string {
	return append([]string{metav1.NamespaceDefault}, s.config.Namespaces...)
}

// makeNamespaces makes those that are missing.
func (s *Server) makeNamespaces(ctx context.Context) error {
	for _, name := range slices.Compact(s.ownNamespaces()) {
		if _, err := s.informers.Core().V1().Namespaces().Lister().Get(name); err == nil {
			continue
		}
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		_, err := s.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make namespace %q: %w", name, err)
		}
	}
	return nil
}
