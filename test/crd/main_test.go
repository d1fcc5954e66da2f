// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/clarion-lb/clarion/internal/labctl"
)

const (
	namespace = labctl.Namespace
	// patience is how long the API server may take to serve new kinds and to enforce new
	// policies and see new parameters of them; a second is usual.
	patience = 30 * time.Second
)

// api is the API server of all tests in this package, and warnings what it warned of; TestMain
// makes them.
var (
	api      dynamic.Interface
	warnings = &recorder{}
)

// recorder keeps the texts of warnings.
type recorder struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (r *recorder) HandleWarningHeader(_ int, _, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.texts = append(r.texts, text)
}

// take returns what came since it was called last.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	texts := r.texts
	r.texts = nil
	return texts
}

func TestMain(m *testing.M) { labctl.Main(m.Run, withServer) }

func withServer(run func() int) (code int, err error) {
	ctx := context.Background()
	kubeconfig := os.Getenv("CLARION_LAB_KUBECONFIG")
	if kubeconfig == "" {
		lab, openErr := labctl.Open("crd", os.Stderr)
		if openErr != nil {
			return 1, openErr
		}
		down, upErr := lab.Fresh(ctx, labctl.Options{Nodes: 1})
		if upErr != nil {
			return 1, upErr
		}
		defer func() { err = errors.Join(err, down()) }()
		if kubeconfig, err = lab.Kubeconfig(ctx); err != nil {
			return 1, err
		}
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", strings.TrimSpace(kubeconfig))
	if err != nil {
		return 1, fmt.Errorf("read kubeconfig: %w", err)
	}
	cfg.QPS = -1
	cfg.WarningHandler = warnings
	if api, err = dynamic.NewForConfig(cfg); err != nil {
		return 1, fmt.Errorf("build client: %w", err)
	}
	if err := install(ctx); err != nil {
		return 1, err
	}
	return run(), nil
}

// install applies the CRDs and the policies, and waits until they are in force.
func install(ctx context.Context) error {
	ns, err := objects(fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", namespace))
	if err != nil {
		return err
	}
	for _, dir := range []string{"crd/bases", "admission-policies"} {
		more, err := readDir(dir)
		if err != nil {
			return err
		}
		ns = append(ns, more...)
	}
	for _, o := range ns {
		if err := labctl.Eventually(ctx, patience, func(ctx context.Context) error { return apply(ctx, o) }); err != nil {
			return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	// The API server learns of policies in the order of their making, and this one is the last.
	elsewhere, err := objects("{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, " +
		"metadata: {name: elsewhere, namespace: default}, spec: {addresses: [192.0.2.0/24]}}")
	if err != nil {
		return err
	}
	return labctl.Eventually(ctx, patience, func(ctx context.Context) error {
		err := dryCreate(ctx, elsewhere[0])
		if err == nil || !strings.Contains(err.Error(), notHere) {
			return fmt.Errorf("policies are not in force: a pool in namespace default gives %w", cmp.Or(err, errAccepted))
		}
		return nil
	})
}

// notHere is part of what the policy about namespaces says.
const notHere = "are read from namespace metallb-system only"

var errAccepted = errors.New("no error")

func dryCreate(ctx context.Context, o *unstructured.Unstructured) error {
	_, err := resource(o).Create(ctx, o, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	})
	return err
}

// readDir returns the objects of every manifest in a folder of config/.
func readDir(dir string) ([]*unstructured.Unstructured, error) {
	paths, err := filepath.Glob(filepath.Join("..", "..", "config", dir, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var out []*unstructured.Unstructured
	for _, path := range paths {
		if filepath.Base(path) == "kustomization.yaml" {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read manifest: %w", err)
		}
		objs, err := objects(string(data))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		out = append(out, objs...)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no manifests in config/%s", dir)
	}
	return out, nil
}

// objects reads the documents of a YAML file.
func objects(text string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, doc := range bytes.Split([]byte(text), []byte("\n---\n")) {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(doc, &o.Object); err != nil {
			return nil, fmt.Errorf("parse YAML: %w", err)
		}
		if o.GetKind() != "" {
			out = append(out, o)
		}
	}
	return out, nil
}

// resource returns where objects of this kind are written.
func resource(o *unstructured.Unstructured) dynamic.ResourceInterface {
	gvk := o.GroupVersionKind()
	plural := strings.ToLower(gvk.Kind) + "s"
	switch gvk.Kind {
	case "Community":
		plural = "communities"
	case "ValidatingAdmissionPolicy":
		plural = "validatingadmissionpolicies"
	case "ServiceL2Status", "ServiceBGPStatus":
		plural = strings.ToLower(gvk.Kind) + "es"
	}
	r := api.Resource(gvk.GroupVersion().WithResource(plural))
	if o.GetNamespace() == "" {
		return r
	}
	return r.Namespace(o.GetNamespace())
}

// dryUpdate replaces an object without storing it.
func dryUpdate(ctx context.Context, o *unstructured.Unstructured) error {
	stored, err := resource(o).Get(ctx, o.GetName(), metav1.GetOptions{})
	if err != nil {
		return err
	}
	o = o.DeepCopy()
	o.SetResourceVersion(stored.GetResourceVersion())
	_, err = resource(o).Update(ctx, o, metav1.UpdateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	})
	return err
}

func apply(ctx context.Context, o *unstructured.Unstructured) error {
	_, err := resource(o).Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: "test", Force: true})
	return err
}

// object makes an object of metallb.io from the YAML of its spec.
func object(t *testing.T, version, kind, name, spec string) *unstructured.Unstructured {
	t.Helper()
	objs, err := objects(fmt.Sprintf("apiVersion: metallb.io/%s\nkind: %s\nmetadata: {name: %s, namespace: %s}", version, kind, name, namespace))
	if err != nil {
		t.Fatal(err)
	}
	var content any
	if err := yaml.Unmarshal([]byte(spec), &content); err != nil {
		t.Fatalf("parse spec %s: %v", spec, err)
	}
	if content != nil {
		objs[0].Object["spec"] = content
	}
	return objs[0]
}

// create makes an object for the duration of a test.
func create(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	made, err := resource(o).Create(t.Context(), o, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create %s %s: %v", o.GetKind(), o.GetName(), err)
	}
	t.Cleanup(func() {
		err := labctl.Eventually(context.Background(), patience, func(ctx context.Context) error {
			err := resource(o).Delete(ctx, o.GetName(), metav1.DeleteOptions{})
			if apierrors.IsNotFound(err) {
				return nil
			}
			return err
		})
		if err != nil {
			t.Errorf("delete %s %s: %v", o.GetKind(), o.GetName(), err)
		}
	})
	return made
}

// expect creates an object without storing it, and fails unless it is accepted, or, if want
// is not "", refused with a message that contains want. Policies and their parameters take
// a moment to be seen, so an answer of the other kind gets another chance.
func expect(t *testing.T, o *unstructured.Unstructured, want string) {
	t.Helper()
	expectThat(t, want, func(ctx context.Context) error { return dryCreate(ctx, o) })
}

func expectThat(t *testing.T, want string, write func(context.Context) error) {
	t.Helper()
	err := labctl.Eventually(t.Context(), patience, func(ctx context.Context) error {
		switch err := write(ctx); {
		case want == "":
			return err
		case err == nil:
			return fmt.Errorf("accepted, want %q", want)
		case !strings.Contains(err.Error(), want):
			return fmt.Errorf("refused with %q, want %q", err.Error(), want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// check is one object to create, given by the YAML of its spec.
type check struct {
	name, spec string
	want       string // "" if the object is fine
}

func run(t *testing.T, version, kind string, checks []check) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			expect(t, object(t, version, kind, "check", c.spec), c.want)
		})
	}
	if !slices.ContainsFunc(checks, func(c check) bool { return c.want == "" }) {
		t.Error("nothing in this table is accepted")
	}
}
