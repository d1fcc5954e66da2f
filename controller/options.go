// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"os"

	"github.com/clarion-lb/clarion/internal/daemon"
)

// options are the flags of MetalLB's controller that have a meaning here, and --kubeconfig.
type options struct {
	namespace, class   string
	secret, deployment string
	pod                string
	kubeconfig         string
	logLevel           string
	pprof              string
	metricsPort        int
	healthPort         int
}

// identity tells replicas apart. Outside of a Pod the process number has to do.
func (o options) identity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return cmp.Or(o.pod, fmt.Sprintf("%s-%d", host, os.Getpid()))
}

func parse(args []string, getenv func(string) string) (options, []string, error) {
	var o options
	f := daemon.NewFlags("controller", getenv)
	f.StringVar(&o.namespace, "namespace", "", "namespace of Clarion and its configuration; default: that of the Pod")
	f.StringVar(&o.class, "lb-class", "", "spec.loadBalancerClass of the Services to serve; empty: Services without a class")
	f.StringVar(&o.secret, "ml-secret-name", "", "name of the memberlist Secret to create for the speakers; empty: none")
	f.StringVar(&o.deployment, "deployment", "", "name of this Deployment, the owner of the memberlist Secret")
	f.StringVar(&o.pod, "pod-name", "", "name of this Pod, the owner of its status object")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "path of a kubeconfig; empty: the Pod's service account")
	f.StringVar(&o.logLevel, "log-level", "info", "one of "+daemon.LogLevels)
	f.StringVar(&o.pprof, "pprof-bind-address", "", "address for net/http/pprof, such as localhost:6060; empty: off")
	f.IntVar(&o.metricsPort, "port", 9120, "port for Prometheus metrics; 0: off")
	f.IntVar(&o.healthPort, "health-probe-port", 17472, "port for /healthz and /readyz")
	f.Env("namespace", "METALLB_NAMESPACE")
	f.Env("ml-secret-name", "METALLB_ML_SECRET_NAME")
	f.Env("deployment", "METALLB_DEPLOYMENT")
	f.Env("pod-name", "METALLB_POD_NAME")

	const noWebhook = "Clarion validates without a webhook server, by rules in the CRDs and admission policies"
	for _, name := range []string{
		"disable-cert-rotation", "cert-dir", "cert-service-name", "webhook-secret", "webhook-http2", "webhook-mode",
	} {
		f.Ignore(name, noWebhook)
	}
	const plainMetrics = "metrics are served in clear text by this version"
	for _, name := range []string{"tls-min-version", "tls-cipher-suites", "tls-curve-preferences", "metrics-cert-dir"} {
		f.Ignore(name, plainMetrics)
	}

	notices, err := f.Parse(args)
	if err != nil {
		return o, nil, err
	}
	if o.namespace == "" {
		o.namespace = daemon.PodNamespace()
	}
	return o, notices, f.Require("namespace")
}
