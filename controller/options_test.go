// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// The command line and the environment of MetalLB's controller, so that its manifests and the
// values of its chart start this one.
func TestFlagsOfMetalLBsControllerAreAccepted(t *testing.T) {
	env := map[string]string{
		"METALLB_NAMESPACE": "metallb-system", "METALLB_ML_SECRET_NAME": "memberlist",
		"METALLB_DEPLOYMENT": "controller", "METALLB_POD_NAME": "controller-0", "METALLB_BGP_TYPE": "frr-k8s",
	}
	meaningful := []string{
		"--port=7472", "--log-level=debug", "--health-probe-port=17473", "--lb-class=metallb.io/lb", "--pprof-bind-address=localhost:6060",
		"--tls-min-version=VersionTLS12", "--tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "--tls-curve-preferences=29",
		"--metrics-cert-dir=/etc/metrics",
	}
	meaningless := []string{
		"--disable-cert-rotation=true", "--cert-dir=/tmp/certs", "--cert-service-name=metallb-webhook-service",
		"--webhook-secret=metallb-webhook-cert", "--webhook-http2=false", "--webhook-mode=enabled",
	}
	o, notices, err := parse(append(meaningful, meaningless...), func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	if o.Namespace != "metallb-system" || o.secret != "memberlist" || o.deployment != "controller" || o.Pod != "controller-0" {
		t.Errorf("the environment was read as %+v", o)
	}
	if o.MetricsPort != 7472 || o.LogLevel != "debug" || o.HealthPort != 17473 || o.Class != "metallb.io/lb" || o.Profiles != "localhost:6060" {
		t.Errorf("the flags were read as %+v", o)
	}
	for _, flag := range append(meaningless, "METALLB_BGP_TYPE") {
		name, _, _ := strings.Cut(flag, "=")
		found := false
		for _, n := range notices {
			found = found || strings.Contains(n, name+" has no effect: ")
		}
		if !found {
			t.Errorf("%s is accepted without a word; notices are %q", name, notices)
		}
	}
}

func TestUnknownFlagsAreRefusedByName(t *testing.T) {
	_, _, err := parse([]string{"--namespace=x", "--webhok-mode=enabled"}, func(string) string { return "" })
	if err == nil || !strings.Contains(err.Error(), "webhok-mode") {
		t.Errorf("error is %v, want one that names the flag", err)
	}
	if _, _, err = parse(nil, func(string) string { return "" }); err == nil || !strings.Contains(err.Error(), "METALLB_NAMESPACE") {
		t.Errorf("error is %v, want one that names what is missing", err)
	}
}

// MetalLB's controller gives no addresses then, and neither may this one.
func TestAControllerThatShallOnlyValidateIsRefused(t *testing.T) {
	_, _, err := parse([]string{"--namespace=x", "--webhook-mode=onlywebhook"}, func(string) string { return "" })
	if err == nil || !strings.Contains(err.Error(), "--webhook-mode=onlywebhook") {
		t.Errorf("error is %v, want one that names the flag", err)
	}
	for _, mode := range []string{"enabled", "disabled"} {
		if _, _, err := parse([]string{"--namespace=x", "--webhook-mode", mode}, func(string) string { return "" }); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}
