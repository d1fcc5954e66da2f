// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	restfake "k8s.io/client-go/rest/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/lb"
)

func TestCatchUpComparesTheAddressesOfServices(t *testing.T) {
	internal := stored("u", "7", "192.0.2.1")
	internal.Spec.Type = corev1.ServiceTypeClusterIP
	internal.Annotations = map[string]string{cluster.AnnotationAllocatedPool: "p"}
	for name, tc := range map[string]struct {
		copied, now *corev1.Service
		want        int
	}{
		"the same":                {stored("u", "6", "192.0.2.1"), stored("u", "6", "192.0.2.1"), 0},
		"copy is newer":           {stored("u", "7", "192.0.2.1"), stored("u", "6", "192.0.2.1"), 0},
		"copy is older":           {stored("u", "5", ""), stored("u", "6", "192.0.2.1"), 1},
		"no copy":                 {nil, stored("u", "6", "192.0.2.1"), 1},
		"of a deleted one":        {stored("t", "7", "192.0.2.1"), stored("u", "6", "192.0.2.1"), 1},
		"without any address":     {nil, stored("u", "6", ""), 0},
		"deleted meanwhile":       {stored("u", "6", "192.0.2.1"), nil, 1},
		"deleted, had no address": {stored("u", "6", ""), nil, 0},
		"address given up":        {stored("u", "6", "192.0.2.1"), stored("u", "7", ""), 1},
		"made after the list":     {stored("u", "9", "192.0.2.1"), nil, 0},
		"given up after the list": {stored("u", "9", ""), stored("u", "7", "192.0.2.1"), 0},
		"of another type by now":  {internal, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			l := listing{version: "8", objects: map[lb.Key]stamp{}}
			if tc.now != nil {
				got, err := storedServices(t.Context(), fake.NewClientset(tc.now))
				if err != nil {
					t.Fatal(err)
				}
				l.objects = got.objects
			}
			copies := newCopies(cluster.PackNext, regard[*cluster.Packed]{}, func() {})
			if tc.copied != nil {
				if err := copies.Add(tc.copied); err != nil {
					t.Fatal(err)
				}
			}
			if got := lag(&l, Store[*cluster.Packed]{copies}, holdsAddress); got != tc.want {
				t.Errorf("%d copies are behind, want %d", got, tc.want)
			}
		})
	}
}

func TestCatchUpReadsAllPages(t *testing.T) {
	var l listing
	pages := []metav1.ListMeta{{ResourceVersion: "8", Continue: "more"}, {ResourceVersion: "8"}}
	var asked []string
	err := l.read(metav1.ListOptions{}, func(o metav1.ListOptions) (metav1.ListMeta, error) {
		asked = append(asked, o.Continue)
		return pages[len(asked)-1], nil
	})
	if err != nil || !slices.Equal(asked, []string{"", "more"}) || l.version != "8" {
		t.Errorf("asked for pages %q as of version %q, error %v", asked, l.version, err)
	}
}

// listsPools answers every request with a list of pools.
func listsPools(t *testing.T, pools ...v1beta1.IPAddressPool) rest.Interface {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	metav1.AddToGroupVersion(scheme, v1beta1.GroupVersion())
	return &restfake.RESTClient{
		NegotiatedSerializer: serializer.NewCodecFactory(scheme).WithoutConversion(), GroupVersion: v1beta1.GroupVersion(),
		Client: restfake.CreateHTTPClient(func(r *http.Request) (*http.Response, error) {
			if got := r.URL.Query(); got.Has("resourceVersion") || !strings.HasSuffix(r.URL.Path, "/metallb-system/ipaddresspools") {
				t.Errorf("request %s", r.URL)
			}
			return respond(http.StatusOK, v1beta1.IPAddressPoolList{
				TypeMeta: metav1.TypeMeta{APIVersion: "metallb.io/v1beta1", Kind: "IPAddressPoolList"},
				ListMeta: metav1.ListMeta{ResourceVersion: "8"}, Items: pools,
			})
		}),
	}
}

// listsNamespaces answers every request with a list of Namespaces.
func listsNamespaces(spaces ...*corev1.Namespace) kubernetes.Interface {
	list := &corev1.NamespaceList{ListMeta: metav1.ListMeta{ResourceVersion: "8"}}
	for _, n := range spaces {
		list.Items = append(list.Items, *n)
	}
	c := fake.NewClientset()
	c.PrependReactor("list", "namespaces", func(clienttesting.Action) (bool, runtime.Object, error) { return true, list, nil })
	return c
}

func poolVersion(version string) v1beta1.IPAddressPool {
	return v1beta1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Namespace: "metallb-system", Name: "p", UID: "p", ResourceVersion: version}}
}

// knowing are sources with a pool and a Namespace, each in version 6, and nothing else.
func knowing() (s *Sources, pools *copies[*v1beta1.IPAddressPool, *v1beta1.IPAddressPool]) {
	pools = newCopies(func(now, _ *v1beta1.IPAddressPool) *v1beta1.IPAddressPool { return now },
		regard[*v1beta1.IPAddressPool]{}, func() {})
	pool := poolVersion("6")
	_ = pools.Replace([]any{&pool}, "6")
	return &Sources{
		Services: Store[*cluster.Packed]{someCopies[*cluster.Packed](nil)}, pools: Store[*v1beta1.IPAddressPool]{pools},
		nodes: Store[*corev1.Node]{someCopies[*corev1.Node](nil)}, l2: Store[*v1beta1.L2Advertisement]{someCopies[*v1beta1.L2Advertisement](nil)},
		bgp: Store[*v1beta1.BGPAdvertisement]{someCopies[*v1beta1.BGPAdvertisement](nil)}, peers: Store[*v1beta2.BGPPeer]{someCopies[*v1beta2.BGPPeer](nil)},
		profiles: Store[*v1beta1.BFDProfile]{someCopies[*v1beta1.BFDProfile](nil)}, communities: Store[*v1beta1.Community]{someCopies[*v1beta1.Community](nil)},
		namespaces: &Store[*corev1.Namespace]{someCopies[*corev1.Namespace]{space("ns", "6", "")}},
	}, pools
}

func TestCatchUpComparesPoolsAndNamespaces(t *testing.T) {
	same := []v1beta1.IPAddressPool{poolVersion("6")}
	for name, tc := range map[string]struct {
		pools  []v1beta1.IPAddressPool
		spaces []*corev1.Namespace
		want   string
	}{
		"the same":             {same, []*corev1.Namespace{space("ns", "6", "")}, ""},
		"copies are newer":     {[]v1beta1.IPAddressPool{poolVersion("5")}, []*corev1.Namespace{space("ns", "5", "")}, ""},
		"pool has changed":     {[]v1beta1.IPAddressPool{poolVersion("7")}, []*corev1.Namespace{space("ns", "6", "")}, "1 ipaddresspools"},
		"pool is gone":         {nil, []*corev1.Namespace{space("ns", "6", "")}, "1 ipaddresspools"},
		"namespace is unknown": {same, []*corev1.Namespace{space("ns", "6", ""), space("other", "7", "")}, "1 namespaces"},
		"label has changed":    {same, []*corev1.Namespace{space("ns", "7", "l")}, "1 namespaces"},
		"namespace is gone":    {same, nil, "1 namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := knowing()
			c := Clients{Builtin: listsNamespaces(tc.spaces...), V1beta1: listsPools(t, tc.pools...)}
			if got, err := s.behind(t.Context(), c, "metallb-system"); err != nil || got != tc.want {
				t.Errorf("behind are %q, error %v, want %q", got, err, tc.want)
			}
		})
	}
}

func TestANewLeaderWaitsForThePoolsOfTheLastOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, pools := knowing()
		c := Clients{Builtin: listsNamespaces(space("ns", "6", "")), V1beta1: listsPools(t, poolVersion("7"))}
		done := make(chan error, 1)
		go func() { done <- s.CatchUp(t.Context(), slog.New(slog.DiscardHandler), c, "metallb-system") }()
		time.Sleep(time.Minute) // virtual
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("caught up with an old pool, error %v", err)
		default:
		}
		pool := poolVersion("7")
		if err := pools.Update(&pool); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
