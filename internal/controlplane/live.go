package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/apiserver/pkg/warning"

	"rancherdesktop.io/rdd/internal/view"
)

// deletedTimeout bounds the wait for the view to show that an object was deleted, so that a client that lists then
// doesn't see it any more.
const deletedTimeout = 2 * time.Second

// live are the resources that are served from memory, and the scheme with their kinds: as they are sent, and as the API
// server names them inside, which is the same.
type live struct {
	resources []view.Resource
	scheme    *runtime.Scheme
	codecs    serializer.CodecFactory
}

func newLive(resources []view.Resource) (live, error) {
	l := live{resources: resources, scheme: runtime.NewScheme()}
	metav1.AddToGroupVersion(l.scheme, schema.GroupVersion{Version: "v1"})
	l.scheme.AddUnversionedTypes(schema.GroupVersion{Version: "v1"},
		&metav1.Status{}, &metav1.APIVersions{}, &metav1.APIGroupList{}, &metav1.APIGroup{}, &metav1.APIResourceList{})
	for _, r := range resources {
		l.scheme.AddKnownTypes(r.Version, r.New(), r.NewList())
		l.scheme.AddKnownTypes(schema.GroupVersion{Group: r.Version.Group, Version: runtime.APIVersionInternal}, r.New(), r.NewList())
		metav1.AddToGroupVersion(l.scheme, r.Version)
		if err := l.scheme.AddFieldLabelConversionFunc(r.Version.WithKind(r.Kind), fieldLabels(r)); err != nil {
			return l, err
		}
		if err := l.scheme.SetVersionPriority(r.Version); err != nil {
			return l, err
		}
	}
	l.codecs = serializer.NewCodecFactory(l.scheme, serializer.WithStreamingCollectionEncodingToJSON())
	return l, nil
}

// fieldLabels accepts the fields that selectors can ask for.
func fieldLabels(r view.Resource) runtime.FieldLabelConversionFunc {
	known := append([]string{"metadata.name"}, r.Store.FieldNames()...)
	return func(label, value string) (string, string, error) {
		if !slices.Contains(known, label) {
			return "", "", fmt.Errorf("%s can't be selected by %q, only by %s", r.Name, label, strings.Join(known, ", "))
		}
		return label, value, nil
	}
}

// has says whether a group is served from memory.
func (l live) has(group string) bool {
	return slices.ContainsFunc(l.resources, func(r view.Resource) bool { return r.Version.Group == group })
}

// liveStorage serves one resource to the API server.
type liveStorage struct{ view.Resource }

var (
	_ rest.Getter               = liveStorage{}
	_ rest.Lister               = liveStorage{}
	_ rest.Watcher              = liveStorage{}
	_ rest.Scoper               = liveStorage{}
	_ rest.ShortNamesProvider   = liveStorage{}
	_ rest.CategoriesProvider   = liveStorage{}
	_ rest.SingularNameProvider = liveStorage{}
	_ rest.GracefulDeleter      = deletableStorage{}
	_ rest.CollectionDeleter    = deletableStorage{}
	_ rest.CollectionDeleter    = namedStorage{}
)

func (l liveStorage) New() runtime.Object     { return l.Resource.New() }
func (l liveStorage) NewList() runtime.Object { return l.Resource.NewList() }
func (l liveStorage) Destroy()                {}
func (l liveStorage) NamespaceScoped() bool   { return false }
func (l liveStorage) GetSingularName() string { return l.Singular }
func (l liveStorage) ShortNames() []string    { return l.Resource.ShortNames }
func (l liveStorage) Categories() []string    { return l.Resource.Categories }
func (l liveStorage) group() schema.GroupResource {
	return l.Version.WithResource(l.Name).GroupResource()
}

// Get returns an object by its name, or by another one that the engine accepts for it.
func (l liveStorage) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	o, err := l.get(ctx, name)
	if err != nil {
		return nil, err
	}
	return o.DeepCopyObject(), nil
}

func (l liveStorage) get(_ context.Context, name string) (view.Object, error) {
	o, err := l.Store.Get(name)
	var ambiguous *view.AmbiguousError
	switch {
	case err == nil:
		return o, nil
	case errors.As(err, &ambiguous):
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%s %q: %v", l.Singular, name, ambiguous))
	}
	missing := apierrors.NewNotFound(l.group(), name)
	if reason := l.Store.Reason(); reason != "" {
		missing.ErrStatus.Message += ": " + reason
	}
	return nil, missing
}

// List returns what is selected, whatever limit the client asks for: it is in memory.
func (l liveStorage) List(ctx context.Context, options *internalversion.ListOptions) (runtime.Object, error) {
	if options.Continue != "" {
		return nil, apierrors.NewResourceExpired("this list is never continued: list again, without continue")
	}
	if options.ResourceVersionMatch == metav1.ResourceVersionMatchExact {
		return nil, apierrors.NewResourceExpired("only the current state is kept: list again, without resourceVersionMatch=Exact")
	}
	if err := l.Store.CheckVersion(options.ResourceVersion); err != nil {
		return nil, err
	}
	if reason := l.Store.Reason(); reason != "" {
		warning.AddWarning(ctx, "", reason)
	}
	objects, version := l.Store.List(selector(options))
	items := make([]runtime.Object, len(objects))
	for i, o := range objects {
		items[i] = o
	}
	list := l.Resource.NewList()
	if err := meta.SetList(list, items); err != nil { // copies the outermost struct of each
		return nil, err
	}
	about, err := meta.ListAccessor(list)
	if err != nil {
		return nil, err
	}
	about.SetResourceVersion(version)
	return list, nil
}

func selector(options *internalversion.ListOptions) view.Selector {
	return view.Selector{Labels: options.LabelSelector, Fields: options.FieldSelector}
}

// Watch tells the changes.
func (l liveStorage) Watch(ctx context.Context, options *internalversion.ListOptions) (watch.Interface, error) {
	initial := options.ResourceVersion == "" || options.ResourceVersion == "0"
	if options.SendInitialEvents != nil {
		initial = *options.SendInitialEvents
	}
	if initial {
		if err := l.Store.CheckVersion(options.ResourceVersion); err != nil {
			return nil, err
		}
		options = options.DeepCopy()
		options.ResourceVersion = ""
	}
	return l.Store.Watch(ctx, view.WatchOptions{
		Selector: selector(options), ResourceVersion: options.ResourceVersion, Initial: initial, Bookmarks: options.AllowWatchBookmarks,
	})
}

// ConvertToTable makes what `kubectl get` shows.
func (l liveStorage) ConvertToTable(_ context.Context, object, options runtime.Object) (*metav1.Table, error) {
	table := &metav1.Table{}
	now := time.Now()
	row := func(object runtime.Object) error {
		o, ok := object.(view.Object)
		if !ok {
			return fmt.Errorf("a table of %s can't show %T", l.Name, object)
		}
		cells := make([]any, len(l.Columns))
		for i, c := range l.Columns {
			cells[i] = c.Cell(o, now)
		}
		table.Rows = append(table.Rows, metav1.TableRow{Cells: cells, Object: runtime.RawExtension{Object: o}})
		return nil
	}
	if meta.IsListType(object) {
		if err := meta.EachListItem(object, row); err != nil {
			return nil, err
		}
	} else if err := row(object); err != nil {
		return nil, err
	}
	if about, err := meta.CommonAccessor(object); err == nil {
		table.ResourceVersion = about.GetResourceVersion()
	}
	if o, ok := options.(*metav1.TableOptions); !ok || !o.NoHeaders {
		table.ColumnDefinitions = l.columns()
	}
	return table, nil
}

func (l liveStorage) columns() []metav1.TableColumnDefinition {
	all := make([]metav1.TableColumnDefinition, len(l.Columns))
	for i, c := range l.Columns {
		all[i] = metav1.TableColumnDefinition{Name: c.Name, Description: c.Description, Type: c.Type, Format: c.Format}
		if c.Type == "" {
			all[i].Type = "string"
		}
		if c.Wide != nil && c.Wide() {
			all[i].Priority = 1
		}
	}
	return all
}

// deletableStorage serves a resource whose objects can be deleted.
type deletableStorage struct {
	liveStorage
	stopping <-chan struct{}
}

// Delete deletes the object for real, unless it is a dry run.
func (d deletableStorage) Delete(ctx context.Context, name string, check rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	o, err := d.get(ctx, name)
	if err != nil {
		return nil, false, err
	}
	gone, err := d.delete(ctx, o, check, options)
	if err != nil {
		return nil, false, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusOK, Details: &metav1.StatusDetails{
		Name: o.GetName(), Group: d.Version.Group, Kind: d.Name, UID: o.GetUID(),
	}}, gone, nil
}

func (d deletableStorage) delete(ctx context.Context, o view.Object, check rest.ValidateObjectFunc, options *metav1.DeleteOptions) (gone bool, err error) {
	if err := d.expected(o, options); err != nil {
		return false, err
	}
	if check != nil {
		if err := check(ctx, o.DeepCopyObject()); err != nil {
			return false, err
		}
	}
	if options != nil && dryrun.IsDryRun(options.DryRun) {
		return true, nil
	}
	ctx, end := until(ctx, d.stopping)
	defer end()
	if err := d.Resource.Delete(ctx, o, options); err != nil {
		return false, refusal(err)
	}
	return d.awaitDeleted(ctx, o), nil
}

// expected holds the preconditions of a delete.
func (d deletableStorage) expected(o view.Object, options *metav1.DeleteOptions) error {
	if options == nil || options.Preconditions == nil {
		return nil
	}
	p := options.Preconditions
	if p.UID != nil && *p.UID != o.GetUID() {
		return apierrors.NewConflict(d.group(), o.GetName(), fmt.Errorf("its UID is %s, not %s", o.GetUID(), *p.UID))
	}
	if p.ResourceVersion != nil && *p.ResourceVersion != o.GetResourceVersion() {
		return apierrors.NewConflict(d.group(), o.GetName(), fmt.Errorf("its resource version is %s, not %s", o.GetResourceVersion(), *p.ResourceVersion))
	}
	return nil
}

// refusal is the engine's error as the client gets it.
func refusal(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return err
	}
	return apierrors.NewInternalError(err)
}

// awaitDeleted waits until the view has learned that an object is gone, and says whether it has.
func (d deletableStorage) awaitDeleted(ctx context.Context, o view.Object) bool {
	ctx, cancel := context.WithTimeout(ctx, deletedTimeout)
	defer cancel()
	w, err := d.Store.Watch(ctx, view.WatchOptions{Selector: view.Selector{Fields: fields.OneTermEqualSelector("metadata.name", o.GetName())}})
	if err != nil {
		return false
	}
	defer w.Stop()
	if now, err := d.Store.Get(o.GetName()); err != nil || now.GetUID() != o.GetUID() {
		return true
	}
	for e := range w.ResultChan() {
		if e.Type == watch.Deleted {
			return true
		}
	}
	return false
}

// DeleteCollection deletes all that is selected, as far as the engine lets it, and returns the first refusal.
func (d deletableStorage) DeleteCollection(ctx context.Context, check rest.ValidateObjectFunc, options *metav1.DeleteOptions, list *internalversion.ListOptions) (runtime.Object, error) {
	objects, _ := d.Store.List(selector(list))
	var refused error
	deleted := []runtime.Object{}
	for _, o := range objects {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if _, err := d.delete(ctx, o, check, options); err != nil && !apierrors.IsNotFound(err) {
			if refused == nil {
				refused = err
			}
			continue
		}
		deleted = append(deleted, o)
	}
	if refused != nil {
		return nil, refused
	}
	all := d.Resource.NewList()
	if err := meta.SetList(all, deleted); err != nil {
		return nil, err
	}
	return all, nil
}

// namedStorage deletes the object that a request names. It is served as a collection, because the API server ends any other
// delete after 34 seconds, and a large image takes longer.
type namedStorage struct{ deletableStorage }

// DeleteCollection deletes the one object.
func (n namedStorage) DeleteCollection(ctx context.Context, check rest.ValidateObjectFunc, options *metav1.DeleteOptions, _ *internalversion.ListOptions) (runtime.Object, error) {
	info, _ := request.RequestInfoFrom(ctx)
	status, _, err := n.Delete(ctx, info.Name, check, options)
	return status, err
}
