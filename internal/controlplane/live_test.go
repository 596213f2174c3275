package controlplane_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/rest"

	"rancherdesktop.io/rdd/internal/admission"
	"rancherdesktop.io/rdd/internal/api/containers/v1alpha1"
	"rancherdesktop.io/rdd/internal/controlplane"
	"rancherdesktop.io/rdd/internal/engine/objects"
	"rancherdesktop.io/rdd/internal/testenv"
	"rancherdesktop.io/rdd/internal/view"
)

var containers = v1alpha1.GroupVersion.WithResource(v1alpha1.Containers)

// engine stands for a container engine of which the shared server shows what there is.
var engine = newFakeEngine()

type fakeEngine struct {
	containers view.Resource

	mu      sync.Mutex
	refuse  error
	deleted []string
}

func newFakeEngine() *fakeEngine {
	e := &fakeEngine{containers: objects.Containers()}
	e.containers.Delete = e.remove
	e.containers.Subresources = map[string]view.Subresource{
		"log":   {Methods: []string{http.MethodGet}, Handler: log},
		"start": {Methods: []string{http.MethodPost}, Handler: start},
		"exec":  {Methods: []string{http.MethodGet, http.MethodPost}, Handler: echo},
	}
	return e
}

func (e *fakeEngine) resources() []view.Resource {
	all := []view.Resource{e.containers, objects.Images(), objects.Volumes(), objects.Networks()}
	for i := range all {
		all[i].Store.SetReason("The engine is stopped: rdd start")
	}
	return all
}

func (e *fakeEngine) remove(_ context.Context, o view.Object, options *metav1.DeleteOptions) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refuse != nil && (options.GracePeriodSeconds == nil || *options.GracePeriodSeconds != 0) {
		return e.refuse
	}
	e.deleted = append(e.deleted, o.GetName())
	e.containers.Store.Remove(o.GetName())
	return nil
}

// has makes the engine have containers, and refuse nothing.
func (e *fakeEngine) has(t *testing.T, all ...*v1alpha1.Container) {
	t.Helper()
	e.refuses(nil)
	list := make([]view.Object, len(all))
	for i, c := range all {
		list[i] = c
	}
	e.containers.Store.Replace(list)
	t.Cleanup(func() { e.containers.Store.SetReason("The engine is stopped: rdd start") })
}

func (e *fakeEngine) refuses(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refuse, e.deleted = err, nil
}

func (e *fakeEngine) hasDeleted() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.deleted)
}

// log tells what it was asked, then goes on until the client has gone or the service stops.
func log(o view.Object) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s?%s\n", o.GetName(), r.URL.Path, r.URL.RawQuery)
		if r.URL.Query().Get("follow") == "" {
			return
		}
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		fmt.Fprintln(w, context.Cause(r.Context()))
	})
}

func start(o view.Object) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, limited := r.Context().Deadline()
		fmt.Fprintf(w, `{"started":%q,"limited":%t}`, o.GetName(), limited)
	})
}

// echo is a connection that was upgraded.
func echo(view.Object) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
		_, _ = io.Copy(conn, both)
	})
}

func container(n int, name string, state v1alpha1.ContainerState) *v1alpha1.Container {
	id := fmt.Sprintf("%d%063x", n, n)
	all := map[string]string{"app": name}
	created := metav1.NewTime(time.Unix(1_700_000_000+int64(n), 0))
	return &v1alpha1.Container{
		ObjectMeta: metav1.ObjectMeta{Name: id, Labels: all, CreationTimestamp: created},
		Status: v1alpha1.ContainerStatus{
			ID: id, Name: name, Namespace: "moby", Image: "nginx", Command: "nginx", State: state, Labels: all, Created: created,
			Ports: []v1alpha1.ContainerPort{{Protocol: "tcp", ContainerPort: 80, HostPort: 8080}},
		},
	}
}

func TestLiveObjectsAreSelectedByFieldAndLabel(t *testing.T) {
	engine.has(t, container(1, "web", v1alpha1.ContainerRunning), container(2, "db", v1alpha1.ContainerExited))
	client := shared.dynamic.Resource(containers)
	for options, want := range map[metav1.ListOptions]string{
		{}:                                       "db web", // newest first
		{FieldSelector: "status.name=web"}:       "web",
		{FieldSelector: "status.state!=running"}: "db",
		{FieldSelector: "status.id=" + fmt.Sprintf("2%063x", 2)}:  "db",
		{FieldSelector: "metadata.name=web"}:                      "web",
		{LabelSelector: "app in (web, other)"}:                    "web",
		{LabelSelector: "app=db", FieldSelector: "status.name=x"}: "",
		{Limit: 1}:             "db web",
		{ResourceVersion: "0"}: "db web",
	} {
		list, err := client.List(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, item := range list.Items {
			name, _, _ := unstructured.NestedString(item.Object, "status", "name")
			names = append(names, name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%+v: %s, want %s", options, got, want)
		}
	}
	_, err := client.List(t.Context(), metav1.ListOptions{FieldSelector: "status.color=red"})
	if !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "status.state") {
		t.Errorf("a field that can't be selected: %v", err)
	}
	for _, name := range []string{"web", "10000000", fmt.Sprintf("1%063x", 1)} {
		o, err := client.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || o.GetKind() != "Container" || o.GetUID() == "" || o.GetResourceVersion() == "" {
			t.Errorf("get %s: %v, %v", name, o, err)
		}
	}
}

func TestAnInformerFollowsLiveObjects(t *testing.T) {
	engine.has(t, container(1, "web", v1alpha1.ContainerRunning))
	factory := dynamicinformer.NewDynamicSharedInformerFactory(shared.dynamic, 0)
	informer := factory.ForResource(containers)
	lister := informer.Lister()
	informer.Informer()
	ctx, cancel := context.WithCancel(t.Context())
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	defer cancel()
	sees := func(n int) func() bool {
		return func() bool { all, err := lister.List(labels.Everything()); return err == nil && len(all) == n }
	}
	testenv.Eventually(t, "the informer has what there is", sees(1))
	for i := range 100 {
		engine.containers.Store.Apply(container(1000+i, "more", v1alpha1.ContainerCreated))
	}
	testenv.Eventually(t, "the informer has what came", sees(101))
	engine.containers.Store.SetReason("The engine is stopped: rdd start")
	testenv.Eventually(t, "the informer is empty", sees(0))
}

func TestAWatchTellsWhereTheInitialObjectsEnd(t *testing.T) {
	engine.has(t, container(1, "web", v1alpha1.ContainerRunning))
	client := shared.dynamic.Resource(containers)
	yes := true
	w, err := client.Watch(t.Context(), metav1.ListOptions{
		SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, FieldSelector: "status.name=web",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	first, second := <-w.ResultChan(), <-w.ResultChan()
	o, ok := second.Object.(*unstructured.Unstructured)
	if first.Type != watch.Added || second.Type != watch.Bookmark || !ok || o.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("%v, then %v", first, second)
	}
	for _, version := range []string{"1", "9223372036854775807"} {
		if _, err := client.Watch(t.Context(), metav1.ListOptions{ResourceVersion: version}); !apierrors.IsResourceExpired(err) {
			t.Errorf("version %s: %v", version, err)
		}
	}
	if _, err := client.List(t.Context(), metav1.ListOptions{ResourceVersion: "1"}); err != nil {
		t.Errorf("a list at least as new as another run: %v", err)
	}
}

func TestDeletingALiveObjectDeletesItInTheEngine(t *testing.T) {
	engine.has(t, container(1, "web", v1alpha1.ContainerRunning), container(2, "db", v1alpha1.ContainerExited), container(3, "db2", v1alpha1.ContainerExited))
	client := shared.dynamic.Resource(containers)
	ctx := t.Context()
	if err := client.Delete(ctx, "web", metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
		t.Error(err)
	}
	other := types.UID("other")
	if err := client.Delete(ctx, "web", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}}); !apierrors.IsConflict(err) {
		t.Errorf("with another's UID: %v", err)
	}
	if deleted := engine.hasDeleted(); len(deleted) != 0 {
		t.Fatalf("deleted %v", deleted)
	}
	const sentence = `cannot remove container "web": container is running: stop the container before removing or force remove`
	engine.refuses(view.Status(http.StatusConflict, sentence))
	if err := client.Delete(ctx, "web", metav1.DeleteOptions{}); !apierrors.IsConflict(err) || err.Error() != sentence {
		t.Errorf("the engine's refusal is %v", err)
	}
	engine.refuses(errors.New("broken"))
	if err := client.Delete(ctx, "web", metav1.DeleteOptions{}); !apierrors.IsInternalError(err) || !strings.Contains(err.Error(), "broken") {
		t.Errorf("another error is %v", err)
	}
	force := int64(0)
	if err := client.Delete(ctx, "web", metav1.DeleteOptions{GracePeriodSeconds: &force}); err != nil {
		t.Error(err)
	}
	if _, err := client.Get(ctx, "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after the delete: %v", err)
	}
	engine.refuses(nil)
	if err := client.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "status.state=exited"}); err != nil {
		t.Error(err)
	}
	if deleted := engine.hasDeleted(); len(deleted) != 2 {
		t.Errorf("deleted %v", deleted)
	}
	if err := client.Delete(ctx, "web", metav1.DeleteOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a second delete: %v", err)
	}
	volumes := shared.dynamic.Resource(v1alpha1.GroupVersion.WithResource(v1alpha1.Volumes))
	if err := volumes.Delete(ctx, "data", metav1.DeleteOptions{}); !apierrors.IsMethodNotSupported(err) {
		t.Errorf("a kind that can't be deleted: %v", err)
	}
}

// The page said that a large image, which was deleted in the end, could not be deleted.
func TestADeleteTakesAsLongAsTheEngineNeeds(t *testing.T) {
	own := newFakeEngine()
	var asked chan struct{}
	own.containers.Delete = func(ctx context.Context, o view.Object, options *metav1.DeleteOptions) error {
		if _, limited := ctx.Deadline(); limited {
			return errors.New("limited")
		}
		if asked == nil {
			return own.remove(ctx, o, options)
		}
		close(asked)
		<-ctx.Done()
		return context.Cause(ctx)
	}
	s := own.serve(t)
	client := s.dynamic.Resource(containers)
	if err := client.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	own.has(t, container(1, "web", v1alpha1.ContainerRunning))
	if err := client.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	own.has(t, container(1, "web", v1alpha1.ContainerRunning))
	asked = make(chan struct{})
	answer := make(chan error, 1)
	go func() { answer <- client.Delete(t.Context(), "web", metav1.DeleteOptions{}) }()
	<-asked
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if err := <-answer; err == nil || !strings.Contains(err.Error(), "the service stops") {
		t.Errorf("a delete while the service stops: %v", err)
	}
}

func TestRulesAreAskedBeforeALiveObjectIsDeleted(t *testing.T) {
	var seen []admission.Review
	own := newFakeEngine()
	s := own.serve(t, admission.Admission{
		Resources: []schema.GroupResource{containers.GroupResource()},
		Admit: func(_ context.Context, r admission.Review) error {
			seen = append(seen, r)
			return errors.New("the rule says no")
		},
	})
	err := s.dynamic.Resource(containers).Delete(t.Context(), "web", metav1.DeleteOptions{})
	if !apierrors.IsForbidden(err) || len(own.hasDeleted()) != 0 {
		t.Errorf("%v, deleted %v", err, own.hasDeleted())
	}
	if len(seen) != 1 || seen[0].Operation != admission.Delete || seen[0].Old.GetKind() != "Container" {
		t.Fatalf("the rule was told %+v", seen)
	}
	if name, _, _ := unstructured.NestedString(seen[0].Old.Object, "status", "name"); name != "web" {
		t.Errorf("the rule was told of %v", seen[0].Old)
	}
}

// serve starts a server of its own that shows a container of this engine.
func (e *fakeEngine) serve(t *testing.T, rules ...admission.Admission) *server {
	t.Helper()
	s := own(t, t.TempDir(), func(c *controlplane.Config) {
		c.CRDs, c.Live, c.Admission = []*apiextensionsv1.CustomResourceDefinition{definition("Owner", apiextensionsv1.ClusterScoped)}, e.resources(), rules
	})
	e.has(t, container(1, "web", v1alpha1.ContainerRunning))
	return s
}

func TestNothingOfALiveObjectIsStored(t *testing.T) {
	engine.has(t, container(1, "web", v1alpha1.ContainerRunning))
	client := shared.dynamic.Resource(containers)
	if _, err := client.List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := client.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	list, err := sharedStore.Client.Kubernetes.List(t.Context(), "/registry/", kubernetes.ListOptions{})
	if err != nil || len(list.Kvs) == 0 {
		t.Fatalf("the store has %d keys: %v", len(list.Kvs), err)
	}
	for _, kv := range list.Kvs {
		if strings.Contains(string(kv.Key), containers.Group) && !strings.Contains(string(kv.Key), "customresourcedefinitions") {
			t.Errorf("the store has %s", kv.Key)
		}
	}
}

func TestLiveObjectsCantBeCreatedOrChanged(t *testing.T) {
	engine.has(t, container(1, "web", v1alpha1.ContainerRunning))
	client := shared.dynamic.Resource(containers)
	o, err := client.Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	name := o.GetName()
	_, created := client.Create(t.Context(), o, metav1.CreateOptions{})
	_, updated := client.Update(t.Context(), o, metav1.UpdateOptions{})
	_, patched := client.Patch(t.Context(), name, types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
	for _, err := range []error{created, updated, patched} {
		if !apierrors.IsMethodNotSupported(err) || !strings.Contains(err.Error(), "docker run") {
			t.Errorf("%v", err)
		}
	}
}

func TestAStoppedEngineSaysWhyNothingIsThere(t *testing.T) {
	warned := &warnings{}
	c := remoteConfig(shared.Endpoint())
	c.WarningHandlerWithContext = warned
	client, err := dynamic.NewForConfig(c)
	if err != nil {
		t.Fatal(err)
	}
	list, err := client.Resource(containers).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 0 || warned.text != "The engine is stopped: rdd start" {
		t.Errorf("list: %v, %v, warning %q", list, err, warned.text)
	}
	_, err = client.Resource(containers).Get(t.Context(), "web", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) || !strings.HasSuffix(err.Error(), `"web" not found: The engine is stopped: rdd start`) {
		t.Errorf("get: %v", err)
	}
	engine.has(t)
	warned.text = ""
	if _, err := client.Resource(containers).List(t.Context(), metav1.ListOptions{}); err != nil || warned.text != "" {
		t.Errorf("while it runs: %v, %q", err, warned.text)
	}
	_, err = client.Resource(containers).Get(t.Context(), "web", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) || !strings.HasSuffix(err.Error(), `"web" not found`) {
		t.Errorf("get while it runs: %v", err)
	}
}

type warnings struct{ text string }

func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	w.text = text
}

func TestLiveObjectsAsATable(t *testing.T) {
	engine.has(t, container(1, "web", v1alpha1.ContainerRunning))
	header := bearer(shared.Endpoint().Token)
	header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	for _, path := range []string{"", "/web"} {
		_, body := get(t, shared, "/apis/"+v1alpha1.GroupVersion.String()+"/containers"+path, header)
		var table metav1.Table
		if err := json.Unmarshal([]byte(body), &table); err != nil || len(table.Rows) != 1 {
			t.Fatalf("%v: %s", err, body)
		}
		var columns, cells []string
		for i, c := range table.ColumnDefinitions {
			if c.Priority == 0 {
				columns, cells = append(columns, c.Name), append(cells, fmt.Sprint(table.Rows[0].Cells[i]))
			}
		}
		if got := strings.Join(columns, " "); got != "ID Image Command Created Status Ports Names" {
			t.Errorf("columns %s", got)
		}
		if got := strings.Join(cells, " "); !strings.HasPrefix(got, `100000000000 nginx "nginx" `) || !strings.HasSuffix(got, " ago Up localhost:8080->80/tcp web") {
			t.Errorf("cells %s", got)
		}
	}
}

func TestLiveKindsAreDiscoveredAndExplained(t *testing.T) {
	list, err := shared.kube.Discovery().ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]metav1.APIResource{}
	for _, r := range list.APIResources {
		found[r.Name] = r
	}
	c := found["containers"]
	if c.SingularName != "container" || c.Namespaced || !slices.Equal(c.ShortNames, []string{"ctr"}) || !slices.Equal(c.Verbs, []string{"delete", "deletecollection", "get", "list", "watch"}) {
		t.Errorf("containers: %+v", c)
	}
	if sub := found["containers/exec"]; !slices.Equal(sub.Verbs, []string{"create", "get"}) {
		t.Errorf("containers/exec: %+v", sub)
	}
	_, document := get(t, shared, "/openapi/v3/apis/"+v1alpha1.GroupVersion.String(), bearer(shared.Endpoint().Token))
	_, v2 := get(t, shared, "/openapi/v2", bearer(shared.Endpoint().Token))
	for _, part := range []string{"State is created, running, paused", `"kind":"Container"`, "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"} {
		if !strings.Contains(document, part) || !strings.Contains(v2, part) {
			t.Errorf("a document lacks %s", part)
		}
	}
}

func TestALiveObjectCantBeAnOwner(t *testing.T) {
	engine.has(t, container(1, "web", v1alpha1.ContainerRunning))
	maps := shared.kube.CoreV1().ConfigMaps("default")
	m := configMap("of-a-container", nil)
	m.OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Container", Name: "web", UID: "1"}}
	if _, err := maps.Create(t.Context(), m, metav1.CreateOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "a Container can't be an owner") {
		t.Errorf("create: %v", err)
	}
	if _, err := maps.Create(t.Context(), configMap("of-nobody", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch := `{"metadata":{"ownerReferences":[{"apiVersion":"containers.rancherdesktop.io/v1alpha1","kind":"Container","name":"web","uid":"1"}]}}`
	if _, err := maps.Patch(t.Context(), "of-nobody", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("patch: %v", err)
	}
}

// request sends one to a container's subresource.
func request(t *testing.T, s *server, method, below string) (code int, line string, more io.Reader) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, s.Endpoint().URL+"/apis/"+v1alpha1.GroupVersion.String()+"/containers/"+below, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(remoteConfig(s.Endpoint()))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	body := bufio.NewReader(answer.Body)
	line, err = body.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(line), body
}

func TestSubresourcesGetPathAndQuery(t *testing.T) {
	c := container(1, "web", v1alpha1.ContainerRunning)
	engine.has(t, c)
	for below, want := range map[string]string{
		"web/log?tail=5&since=1h":     c.Name + " ?tail=5&since=1h",
		"10000000/log/a/b%20c?x=%2Fy": c.Name + " /a/b c?x=%2Fy",
		"web/log/?follow=":            c.Name + " /?follow=",
		c.Name + "/log?follow=1":      c.Name + " ?follow=1",
	} {
		if code, got, _ := request(t, shared, http.MethodGet, below); got != want || code != http.StatusOK {
			t.Errorf("%s: %d %q, want %q", below, code, got, want)
		}
	}
	if code, got, _ := request(t, shared, http.MethodPost, "web/start?timeout=1s"); code != http.StatusAccepted || got != `{"started":"`+c.Name+`","limited":false}` {
		t.Errorf("start: %d %s", code, got)
	}
	if code, got, _ := request(t, shared, http.MethodPost, "nobody/start"); code != http.StatusNotFound || !strings.Contains(got, `\"nobody\" not found`) {
		t.Errorf("start of nobody: %d %s", code, got)
	}
	if code, _, _ := request(t, shared, http.MethodPost, "web/log"); code != http.StatusMethodNotAllowed {
		t.Errorf("a method that is none: %d", code)
	}
}

func TestAFollowedLogEndsWithTheService(t *testing.T) {
	s := newFakeEngine().serve(t)
	_, _, log := request(t, s, http.MethodGet, "web/log?follow=1")
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	end, err := io.ReadAll(log)
	if errors.Is(err, context.DeadlineExceeded) || err == nil && !strings.Contains(string(end), "the service stops") {
		t.Errorf("the end is %q, %v", end, err)
	}
}

func TestUpgradedConnectionsPass(t *testing.T) {
	engine.has(t, container(1, "web", v1alpha1.ContainerRunning))
	e := shared.Endpoint()
	at, err := url.Parse(e.URL)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(e.CA)
	for _, c := range []struct{ method, protocol string }{{http.MethodGet, "websocket"}, {http.MethodPost, "SPDY/3.1"}} {
		t.Run(c.protocol, func(t *testing.T) {
			conn, err := tls.Dial("tcp", at.Host, &tls.Config{RootCAs: pool, NextProtos: []string{"http/1.1"}})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "%s /apis/%s/containers/web/exec?command=sh HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\nhello\n",
				c.method, v1alpha1.GroupVersion, at.Host, e.Token, c.protocol)
			r := bufio.NewReader(conn)
			answer, err := http.ReadResponse(r, nil) //nolint:bodyclose // the connection is closed
			if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%v, %v", answer, err)
			}
			if line, err := r.ReadString('\n'); err != nil || line != "hello\n" {
				t.Errorf("echo %q, %v", line, err)
			}
		})
	}
}
