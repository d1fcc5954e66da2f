// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/yaml"

	"github.com/clarion-lb/clarion/internal/daemon"
	"github.com/clarion-lb/clarion/internal/members"
)

// options are the flags of MetalLB's speaker that have a meaning here.
type options struct {
	daemon.Options
	node, host            string
	ignoreExcludeLB       bool
	excludeFile           string
	refreshSeconds        int
	refresh               time.Duration
	mlBindAddr, mlLabels  string
	mlBindPort            int
	mlKeyPath, mlFilePath string
	mlWAN                 bool
	mlWatchPort           int
}

func (o options) bindPort() uint16 { return uint16(o.mlBindPort) }

func (o options) watchPort() uint16 { return uint16(o.mlWatchPort) }

func (o options) membership() members.Config {
	return members.Config{
		Node: o.node, Bind: o.bind(), KeyPath: o.mlKeyPath, FilePath: o.mlFilePath, WAN: o.mlWAN,
		Watch: o.mlWatchPort != 0,
	}
}

func parse(args []string, getenv func(string) string) (options, []string, error) {
	var o options
	f := daemon.NewFlags("speaker", getenv)
	o.define(f)
	notices, err := o.Parse(f, args, "node-name")
	if err != nil {
		return o, nil, err
	}
	o.refresh = time.Duration(o.refreshSeconds) * time.Second
	if o.refreshSeconds == 0 {
		o.refresh = -1
	}
	return o, notices, o.check()
}

func (o *options) define(f *daemon.Flags) {
	o.Define(f)
	f.StringVar(&o.node, "node-name", "", "name of this node's Node object")
	f.StringVar(&o.host, "host", "", "address for Prometheus metrics; empty: all")
	f.BoolVar(&o.ignoreExcludeLB, "ignore-exclude-lb", false, "announce also from nodes labelled node.kubernetes.io/exclude-from-external-load-balancers")
	f.StringVar(&o.excludeFile, "exclude-interfaces-path", "/etc/metallb/excludel2.yaml", "file with the list announcedInterfacesToExclude of regular expressions")
	f.IntVar(&o.refreshSeconds, "gratuitous-arp-interval", 60, "seconds, at least, between unasked announcements of an address in quiet times (at most twice as many); 0: none")
	f.StringVar(&o.mlBindAddr, "ml-bindaddr", "", "address of this node for the membership; empty: no membership, every node counts as alive")
	f.IntVar(&o.mlBindPort, "ml-bindport", members.DefaultPort, "TCP and UDP port of the membership")
	f.StringVar(&o.mlLabels, "ml-labels", "", "label selector of the speakers' Pods; empty: no membership")
	f.StringVar(&o.mlKeyPath, "ml-secret-key-path", "", "folder or file with the mounted memberlist Secret; empty: no encryption")
	f.StringVar(&o.mlFilePath, "ml-config-path", "/etc/metallb/memberlist/config.json", "file with MetalLB's memberlist settings, if it exists")
	f.BoolVar(&o.mlWAN, "ml-wan-config", false, "settings for speakers that are far apart; they detect a dead node in tens of seconds")
	f.IntVar(&o.mlWatchPort, "ml-watch-port", members.DefaultPort+1, "UDP port on which speakers watch each other directly; 0: they do not, and the membership alone finds a dead node")
	f.Env("node-name", "METALLB_NODE_NAME")
	f.Env("host", "METALLB_HOST")
	f.Env("gratuitous-arp-interval", "METALLB_GRATUITOUS_ARP_INTERVAL")
	f.Env("ml-bindaddr", "METALLB_ML_BIND_ADDR")
	f.Env("ml-bindport", "METALLB_ML_BIND_PORT")
	f.Env("ml-labels", "METALLB_ML_LABELS")
	f.Env("ml-secret-key-path", "METALLB_ML_SECRET_KEY_PATH")

	const noFRR = "there is no FRR to configure"
	for _, name := range []string{"bgp-debounce-timeout", "frrk8s-namespace", "frrk8s-secret-passthrough"} {
		f.Ignore(name, noFRR)
	}
	for _, name := range []string{"METALLB_BGP_TYPE", "METALLB_BGP_DEBOUNCE_TIMEOUT", "FRRK8S_NAMESPACE", "FRR_LOGGING_LEVEL"} {
		f.IgnoreEnv(name, noFRR)
	}
}

// check finds values that a flag package cannot.
func (o options) check() error {
	var errs []error
	if o.mlBindAddr != "" {
		if _, err := netip.ParseAddr(o.mlBindAddr); err != nil {
			errs = append(errs, fmt.Errorf("--ml-bindaddr: %w", err))
		}
	}
	if _, err := labels.Parse(o.mlLabels); err != nil {
		errs = append(errs, fmt.Errorf("--ml-labels (METALLB_ML_LABELS) %q does not select the speakers' Pods; give a label selector such as app=metallb,component=speaker: %w", o.mlLabels, err))
	}
	if o.mlBindPort < 1 || o.mlBindPort > 65535 {
		errs = append(errs, fmt.Errorf("--ml-bindport %d is not between 1 and 65535", o.mlBindPort))
	}
	if o.mlWatchPort < 0 || o.mlWatchPort > 65535 {
		errs = append(errs, fmt.Errorf("--ml-watch-port %d is not between 0 and 65535", o.mlWatchPort))
	}
	if o.bind().IsValid() && o.mlWatchPort == o.mlBindPort {
		errs = append(errs, fmt.Errorf("--ml-watch-port %d is the port of the membership (--ml-bindport); choose another, or 0 for no watching", o.mlWatchPort))
	}
	if o.refreshSeconds < 0 {
		errs = append(errs, fmt.Errorf("--gratuitous-arp-interval %d is negative", o.refreshSeconds))
	}
	return errors.Join(errs...)
}

// readExcludedInterfaces returns the expressions of MetalLB's file, or nil, which stands for
// the defaults, when there is no file.
func readExcludedInterfaces(path string) ([]string, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the path is the operator's
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read excluded interfaces: %w", err)
	}
	exclude, err := parseExcludedInterfaces(data)
	if err != nil {
		return nil, fmt.Errorf("read excluded interfaces from %s: %w", path, err)
	}
	return exclude, nil
}

// parseExcludedInterfaces never returns nil without an error.
func parseExcludedInterfaces(data []byte) ([]string, error) {
	var file struct {
		Exclude []string `json:"announcedInterfacesToExclude"`
	}
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		return nil, err
	}
	if file.Exclude == nil {
		return []string{}, nil // a file that excludes nothing
	}
	return file.Exclude, nil
}
