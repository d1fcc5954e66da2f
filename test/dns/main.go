// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command dns is CoreDNS with what a cluster's DNS needs and nothing else, for the lab. It is a
// module of its own, because CoreDNS wants other versions of Kubernetes' libraries.
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() {
	dnsserver.Directives = []string{"errors", "kubernetes"}
	coremain.Run()
}
