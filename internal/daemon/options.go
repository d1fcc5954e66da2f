// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package daemon

// Options are the flags that both programs have: those of MetalLB's, and --kubeconfig.
type Options struct {
	Namespace, Class string
	Pod              string
	Kubeconfig       string
	LogLevel         string
	Profiles         string
	MetricsPort      int
	MetricsTLS       TLS
	HealthPort       int
}

// Define adds the flags to a set.
func (o *Options) Define(f *Flags) {
	f.StringVar(&o.Namespace, "namespace", "", "namespace of Clarion and its configuration; default: that of the Pod")
	f.StringVar(&o.Class, "lb-class", "", "spec.loadBalancerClass of the Services to serve; empty: Services without a class")
	f.StringVar(&o.Pod, "pod-name", "", "name of this Pod, the owner of its status objects")
	f.StringVar(&o.Kubeconfig, "kubeconfig", "", "path of a kubeconfig; empty: the Pod's service account")
	f.StringVar(&o.LogLevel, "log-level", "info", "one of "+LogLevels)
	f.StringVar(&o.Profiles, "pprof-bind-address", "", "address for net/http/pprof, such as localhost:6060; empty: off")
	f.IntVar(&o.MetricsPort, "port", 9120, "port for Prometheus metrics; 0: off")
	f.IntVar(&o.HealthPort, "health-probe-port", 17472, "port for /healthz and /readyz")
	f.Env("namespace", "METALLB_NAMESPACE")
	f.Env("pod-name", "METALLB_POD_NAME")
	o.MetricsTLS.define(f)
}

// Parse reads the command line and the environment, takes the namespace from the Pod if none
// is given, and demands a value of the flags that are required. It returns one line for every
// flag that was given and has no effect.
func (o *Options) Parse(f *Flags, args []string, required ...string) (notices []string, err error) {
	notices, err = f.Parse(args)
	if err != nil {
		return nil, err
	}
	if o.Namespace == "" {
		o.Namespace = PodNamespace()
	}
	return notices, f.Require(append(required, "namespace")...)
}
