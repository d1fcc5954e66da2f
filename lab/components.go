// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	manager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	hollow "github.com/clarion-lb/clarion/lab/internal/kubelet"
	"github.com/clarion-lb/clarion/lab/internal/realnode"
	"github.com/clarion-lb/clarion/lab/internal/sandbox"
	"github.com/clarion-lb/clarion/lab/internal/workload"
)

// programs are what the one binary can be, by the name in argv[0]. Only this
// file imports the large Kubernetes programs.
func programs() map[string]func() int {
	return map[string]func() int{
		"etcd":                    runEtcd,
		"kube-apiserver":          func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
		"kube-controller-manager": func() int { return cli.Run(manager.NewControllerManagerCommand()) },
		"kube-scheduler":          func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
		"kube-proxy":              func() int { return cli.Run(proxy.NewProxyCommand()) },
		"kubectl":                 runKubectl,
		"kubelet":                 func() int { return cli.Run(kubelet.NewKubeletCommand(context.Background())) },
		"hollow-kubelet":          hollow.Main,
		realnode.Program:          realnode.Main,
		realnode.JoinProgram:      realnode.Join,
		workload.Program:          workload.Main,
		sandbox.Program:           sandbox.Main,
	}
}

func runKubectl() int {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err) // prints and exits with kubectl's own code
	}
	return 0
}
