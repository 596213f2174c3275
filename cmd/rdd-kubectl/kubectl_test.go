package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/internal/controlplane"
	"rancherdesktop.io/rdd/internal/datastore"
	"rancherdesktop.io/rdd/internal/testenv"
	"rancherdesktop.io/rdd/internal/view"
)

// asKubectl is an environment variable with which this test binary runs rdd-kubectl.
const asKubectl = "RDD_TEST_AS_KUBECTL"

// limit is the timeout for what should happen at once.
const limit = time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(asKubectl) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// kubectl is a kubectl program with a home directory of its own.
type kubectl struct {
	program string
	env     []string
	dir     string
}

// The control plane works with our own kubectl and with Debian's, which is years
// older and uses other APIs for discovery, validation and explain.
func TestKubectl(t *testing.T) {
	if testing.Short() {
		t.Skip("runs kubectl dozens of times")
	}
	each(t, serve(t), func(t *testing.T, k kubectl) {
		name := filepath.Base(t.Name())
		k.ok(t, "", "create", "namespace", name)
		t.Run("discovers", func(t *testing.T) { discovers(t, k) })
		t.Run("explains", func(t *testing.T) { explains(t, k) })
		t.Run("applies", func(t *testing.T) { applies(t, k, name) })
		t.Run("refuses what isn't valid", func(t *testing.T) { refuses(t, k, name) })
		t.Run("dry runs", func(t *testing.T) { dryRuns(t, k, name) })
		t.Run("patches", func(t *testing.T) { patches(t, k, name) })
		t.Run("watches", func(t *testing.T) { watches(t, k, name) })
		t.Run("waits", func(t *testing.T) { waits(t, k, name) })
		k.ok(t, "deleted", "delete", "namespace", name, "--wait", "--timeout=60s")
		k.fails(t, "NotFound", "get", "namespace", name)
	})
}

// each runs a test with our own kubectl and with Debian's.
func each(t *testing.T, kubeconfig string, test func(*testing.T, kubectl)) {
	programs := map[string]func(*testing.T) kubectl{
		"own": func(t *testing.T) kubectl {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			return kubectl{program: self, env: []string{asKubectl + "=1"}}
		},
		"debian": func(t *testing.T) kubectl { return kubectl{program: debianKubectl(t)} },
	}
	for name, find := range programs {
		t.Run(name, func(t *testing.T) {
			k := find(t)
			k.dir = t.TempDir()
			k.env = append(k.env, "HOME="+k.dir, "KUBECONFIG="+kubeconfig, "PATH="+os.Getenv("PATH"))
			test(t, k)
		})
	}
}

func discovers(t *testing.T, k kubectl) {
	for _, line := range []string{"configmaps", "leases", "customresourcedefinitions", "gadgets"} {
		k.ok(t, line, "api-resources")
	}
	k.ok(t, "test.rdd.io/v1", "api-versions")
	k.ok(t, "rdd-system", "get", "namespaces")
}

func explains(t *testing.T, k kubectl) {
	k.ok(t, "ConfigMap holds configuration data", "explain", "configmap")
	k.ok(t, "Gadget is a kind of the tests", "explain", "gadget")
	k.ok(t, "How large it is", "explain", "gadget.spec")
	k.ok(t, "holderIdentity", "explain", "leases.spec")
	k.ok(t, "openAPIV3Schema", "explain", "crd.spec.versions.schema")
}

func applies(t *testing.T, k kubectl, namespace string) {
	for _, how := range []string{"--server-side=false", "--server-side=true"} {
		files := k.write(t, configMap("applied", "one")+gadget("applied", 1))
		changed := k.write(t, configMap("applied", "two")+gadget("applied", 2))
		k.ok(t, "configmap/applied", "-n", namespace, "apply", how, "-f", files)
		k.ok(t, "gadget.test.rdd.io/applied", "-n", namespace, "apply", how, "-f", files)
		k.ok(t, "", "-n", namespace, "apply", how, "-f", changed)
		k.ok(t, "two/2", "-n", namespace, "get", "configmap/applied", "gadget/applied",
			"-o", "jsonpath={.items[0].data.text}/{.items[1].spec.size}")
		k.ok(t, "deleted", "-n", namespace, "delete", "-f", files, "--wait")
	}
}

func refuses(t *testing.T, k kubectl, namespace string) {
	k.fails(t, "size must be at most 100", "-n", namespace, "apply", "-f", k.write(t, gadget("large", 500)))
	k.fails(t, "unknown field", "-n", namespace, "apply", "-f", k.write(t, strings.Replace(gadget("odd", 1), "size", "sise", 1)))
	k.fails(t, "belongs to the service", "delete", "namespace", "rdd-system")
	k.fails(t, "NotFound", "-n", namespace, "get", "gadget", "large")
}

func dryRuns(t *testing.T, k kubectl, namespace string) {
	for _, where := range []string{"client", "server"} {
		file := k.write(t, configMap("dry", where)+gadget("dry", 1))
		k.ok(t, "dry run", "-n", namespace, "apply", "--dry-run="+where, "-f", file)
		k.fails(t, "NotFound", "-n", namespace, "get", "configmap", "dry")
		k.fails(t, "NotFound", "-n", namespace, "get", "gadget", "dry")
	}
	k.ok(t, "kind: ConfigMap", "-n", namespace, "create", "configmap", "dry", "--dry-run=client", "-o", "yaml")
}

func patches(t *testing.T, k kubectl, namespace string) {
	k.ok(t, "", "-n", namespace, "apply", "-f", k.write(t, configMap("patched", "one")+gadget("patched", 1)))
	k.ok(t, "patched", "-n", namespace, "patch", "configmap", "patched", "-p", `{"data":{"text":"two"}}`)
	k.ok(t, "patched", "-n", namespace, "patch", "gadget", "patched", "--type=merge", "-p", `{"spec":{"size":2}}`)
	k.ok(t, "patched", "-n", namespace, "patch", "gadget", "patched", "--type=json", "-p", `[{"op":"replace","path":"/spec/size","value":3}]`)
	k.ok(t, "two/3", "-n", namespace, "get", "configmap/patched", "gadget/patched",
		"-o", "jsonpath={.items[0].data.text}/{.items[1].spec.size}")
	k.ok(t, "labeled", "-n", namespace, "label", "gadget", "patched", "a=b")
	k.ok(t, "annotated", "-n", namespace, "annotate", "gadget", "patched", "a=b")
}

// watch runs a command until ctx ends. What it returns reads lines until one has all the texts.
func (k kubectl) watch(ctx context.Context, t *testing.T, args ...string) (shows func(texts ...string)) {
	t.Helper()
	watch := k.command(ctx, args...)
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watch.Process.Kill(); _ = watch.Wait() }) // killed
	var lines strings.Builder
	scanner := bufio.NewScanner(out)
	return func(texts ...string) {
		t.Helper()
		for scanner.Scan() {
			fmt.Fprintln(&lines, scanner.Text())
			if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(scanner.Text(), text) }) {
				return
			}
		}
		t.Errorf("kubectl %s did not show %q:\n%s", strings.Join(args, " "), texts, &lines)
	}
}

// watches runs get -w while an object is created, changed and deleted.
func watches(t *testing.T, k kubectl, namespace string) {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	k.ok(t, "", "-n", namespace, "apply", "-f", k.write(t, configMap("earlier", "one")))
	shows := k.watch(ctx, t, "-n", namespace, "get", "configmaps", "-w", "--output-watch-events")
	shows("ADDED", "earlier") // the watch has begun
	file := k.write(t, configMap("watched", "one"))
	k.ok(t, "", "-n", namespace, "apply", "-f", file)
	k.ok(t, "", "-n", namespace, "apply", "-f", k.write(t, configMap("watched", "two")))
	k.ok(t, "", "-n", namespace, "delete", "-f", file)
	shows("DELETED", "watched")
}

func waits(t *testing.T, k kubectl, namespace string) {
	held := strings.Replace(gadget("awaited", 1), "name: awaited", "name: awaited\n  finalizers: [test.rdd.io/held]", 1)
	k.ok(t, "", "-n", namespace, "apply", "-f", k.write(t, held))
	k.fails(t, "timed out", "-n", namespace, "wait", "--for=condition=Ready", "gadget/awaited", "--timeout=2s")
	status := strings.Replace(held, "spec:", "status: {conditions: [{type: Ready, status: 'True'}]}\nspec:", 1)
	k.ok(t, "", "-n", namespace, "replace", "--raw", "/apis/test.rdd.io/v1/namespaces/"+namespace+"/gadgets/awaited/status",
		"-f", k.write(t, k.withVersion(t, namespace, status)))
	k.ok(t, "condition met", "-n", namespace, "wait", "--for=condition=Ready", "gadget/awaited", "--timeout=60s")
	k.ok(t, "deleted", "-n", namespace, "delete", "gadget", "awaited", "--wait=false")
	k.fails(t, "timed out", "-n", namespace, "wait", "--for=delete", "gadget/awaited", "--timeout=2s")
	k.ok(t, "patched", "-n", namespace, "patch", "gadget", "awaited", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	k.fails(t, "NotFound", "-n", namespace, "get", "gadget", "awaited")
}

// withVersion returns the object as JSON with its current resource version, for
// kubectl replace.
func (k kubectl) withVersion(t *testing.T, namespace, object string) string {
	version, err := k.run(t, "-n", namespace, "get", "gadget", "awaited", "-o", "jsonpath={.metadata.resourceVersion}")
	if err != nil {
		t.Fatal(err)
	}
	object = strings.Replace(object, "name: awaited", "name: awaited\n  namespace: "+namespace+"\n  resourceVersion: '"+version+"'", 1)
	json, err := k.run(t, "create", "-f", k.write(t, object), "--dry-run=client", "--validate=false", "-o", "json")
	if err != nil {
		t.Fatal(err, json)
	}
	return json
}

func configMap(name, text string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\ndata:\n  text: %s\n", name, text)
}

func gadget(name string, size int) string {
	return fmt.Sprintf("---\napiVersion: test.rdd.io/v1\nkind: Gadget\nmetadata:\n  name: %s\nspec:\n  size: %d\n", name, size)
}

func (k kubectl) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, k.program, args...)
	c.Env, c.Dir = k.env, k.dir
	return c
}

func (k kubectl) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var out bytes.Buffer
	c := k.command(ctx, args...)
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.String(), errors.Join(err, ctx.Err())
}

// ok runs a command, which must succeed and print a text.
func (k kubectl) ok(t *testing.T, says string, args ...string) {
	t.Helper()
	out, err := k.run(t, args...)
	if err != nil || !strings.Contains(out, says) {
		t.Errorf("kubectl %s: %v, want %q in\n%s", strings.Join(args, " "), err, says, out)
	}
}

// fails runs a command, which must fail and print a text.
func (k kubectl) fails(t *testing.T, says string, args ...string) {
	t.Helper()
	out, err := k.run(t, args...)
	if err == nil || !strings.Contains(out, says) {
		t.Errorf("kubectl %s: %v, want a failure with %q in\n%s", strings.Join(args, " "), err, says, out)
	}
}

func (k kubectl) write(t *testing.T, text string) string {
	t.Helper()
	f, err := os.CreateTemp(k.dir, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// debianKubectl returns the kubectl of Debian's package kubernetes-client. RDD_TEST_KUBECTL names another program to test instead.
func debianKubectl(t *testing.T) string {
	if program := os.Getenv("RDD_TEST_KUBECTL"); program != "" {
		return program
	}
	program, err := testenv.Unpacked("kubernetes-client", "usr/bin/kubectl")
	if err != nil {
		testenv.Missing(t, "Debian's kubectl can't be had: %v", err)
	}
	return program
}

// serve runs a control plane and returns the path of a kubeconfig for it.
func serve(t *testing.T, live ...view.Resource) string {
	t.Helper()
	dir := t.TempDir()
	store, err := datastore.Open(t.Context(), datastore.Options{Dir: filepath.Join(dir, "store")})
	if err != nil {
		t.Fatal(err)
	}
	plane, err := controlplane.New(t.Context(), controlplane.Config{
		Dir:        filepath.Join(dir, "controlplane"),
		Store:      store,
		CRDs:       []*apiextensionsv1.CustomResourceDefinition{gadgetDefinition()},
		Namespaces: []string{"rdd-system"},
		Live:       live,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- plane.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, store.Close()); err != nil {
			t.Error(err)
		}
	})
	select {
	case <-plane.Ready():
	case <-time.After(limit):
		t.Fatal("the control plane did not get ready")
	}
	config, err := plane.Endpoint().Kubeconfig("rdd")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "kube.config")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func gadgetDefinition() *apiextensionsv1.CustomResourceDefinition {
	text := apiextensionsv1.JSONSchemaProps{Type: "string"}
	condition := apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"type": text, "status": text}}
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "gadgets.test.rdd.io"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "test.rdd.io",
			Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "gadgets", Singular: "gadget", Kind: "Gadget", ListKind: "GadgetList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type:        "object",
					Description: "Gadget is a kind of the tests.",
					Properties: map[string]apiextensionsv1.JSONSchemaProps{
						"spec": {
							Type:         "object",
							Properties:   map[string]apiextensionsv1.JSONSchemaProps{"size": {Type: "integer", Description: "How large it is."}},
							XValidations: apiextensionsv1.ValidationRules{{Rule: "!has(self.size) || self.size <= 100", Message: "size must be at most 100"}},
						},
						"status": {Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{
							"conditions": {Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &condition}},
						}},
					},
				}},
			}},
		},
	}
}
