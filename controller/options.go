// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"github.com/clarion-lb/clarion/internal/daemon"
)

// options are the flags of MetalLB's controller that have a meaning here.
type options struct {
	daemon.Options
	secret, deployment string
}

// identity tells replicas apart. Outside of a Pod the process number has to do.
func (o options) identity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return cmp.Or(o.Pod, fmt.Sprintf("%s-%d", host, os.Getpid()))
}

func parse(args []string, getenv func(string) string) (options, []string, error) {
	var o options
	f := daemon.NewFlags("controller", getenv)
	o.Define(f)
	f.StringVar(&o.secret, "ml-secret-name", "", "name of the memberlist Secret to create for the speakers; empty: none")
	f.StringVar(&o.deployment, "deployment", "", "name of this Deployment, the owner of the memberlist Secret")
	f.Env("ml-secret-name", "METALLB_ML_SECRET_NAME")
	f.Env("deployment", "METALLB_DEPLOYMENT")

	const noWebhook = "Clarion validates without a webhook server, by rules in the CRDs and admission policies"
	for _, name := range []string{
		"disable-cert-rotation", "cert-dir", "cert-service-name", "webhook-secret", "webhook-http2",
	} {
		f.Ignore(name, noWebhook)
	}
	f.IgnoreEnv("METALLB_BGP_TYPE", "every field of the BGP kinds is checked whatever speaks BGP")
	mode := f.String("webhook-mode", "", "accepted and ignored unless it is onlywebhook: "+noWebhook)
	notices, err := o.Parse(f, args)
	switch {
	case err != nil:
		return o, nil, err
	case *mode == "onlywebhook":
		// In MetalLB such a process gives no addresses. One that did would surprise its user.
		return o, nil, errors.New("--webhook-mode=onlywebhook: there would be nothing to do, because " + noWebhook + "; remove this Deployment, or the flag")
	case *mode != "":
		notices = append(notices, "flag --webhook-mode has no effect: "+noWebhook)
	}
	return o, notices, nil
}
