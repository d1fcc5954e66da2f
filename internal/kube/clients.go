// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/api/v1beta2"
)

// Clients are the connections of one program to the API server.
type Clients struct {
	Builtin kubernetes.Interface // core, discovery, coordination: protobuf
	V1beta1 rest.Interface       // metallb.io/v1beta1: JSON
	V1beta2 rest.Interface       // metallb.io/v1beta2: JSON
	Scheme  *runtime.Scheme      // every kind that the program reads or writes
}

// Connect builds the clients from a kubeconfig path, or from the Pod's service account
// when the path is empty. It does not talk to the server yet.
func Connect(kubeconfig, userAgent string) (Clients, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return Clients{}, fmt.Errorf("read client configuration: %w", err)
	}
	return ConnectTo(cfg, userAgent)
}

// ConnectTo is Connect for a configuration that was read already. It does not change cfg.
func ConnectTo(cfg *rest.Config, userAgent string) (Clients, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.UserAgent = userAgent
	cfg.QPS = -1 // client-go's default of 5 a second would take half an hour for 10,000 Services

	builtin := rest.CopyConfig(cfg)
	builtin.ContentType = runtime.ContentTypeProtobuf
	builtin.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	cs, err := kubernetes.NewForConfig(builtin)
	if err != nil {
		return Clients{}, fmt.Errorf("build client: %w", err)
	}

	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1beta1.AddToScheme, v1beta2.AddToScheme} {
		if err := add(scheme); err != nil {
			return Clients{}, fmt.Errorf("register kinds: %w", err)
		}
	}
	v1, err := customClient(cfg, scheme, v1beta1.GroupVersion())
	if err != nil {
		return Clients{}, err
	}
	v2, err := customClient(cfg, scheme, v1beta2.GroupVersion())
	if err != nil {
		return Clients{}, err
	}
	return Clients{Builtin: cs, V1beta1: v1, V1beta2: v2, Scheme: scheme}, nil
}

func customClient(cfg *rest.Config, scheme *runtime.Scheme, gv schema.GroupVersion) (rest.Interface, error) {
	metav1.AddToGroupVersion(scheme, gv)
	c := rest.CopyConfig(cfg)
	c.GroupVersion = &gv
	c.APIPath = "/apis"
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	rc, err := rest.RESTClientFor(c)
	if err != nil {
		return nil, fmt.Errorf("build client for %s: %w", gv, err)
	}
	return rc, nil
}
