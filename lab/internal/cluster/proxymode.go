// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/clarion-lb/clarion/lab/internal/host"
	"github.com/clarion-lb/clarion/lab/internal/state"
)

// CheckMode accepts the modes that this lab's kube-proxy can have.
func CheckMode(mode string) error {
	switch mode {
	case "nftables", "iptables":
		return nil
	}
	return fmt.Errorf("proxy mode %q is not nftables or iptables", mode)
}

// SwitchProxyMode restarts kube-proxy on every node that is on, in another
// mode, and removes the old mode's rules as an administrator would.
func SwitchProxyMode(ctx context.Context, d state.Dir, c state.Config, mode string, say Report) error {
	if err := CheckMode(mode); err != nil {
		return err
	}
	c.ProxyMode = mode
	if err := d.Save(c); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the lab's own program: %w", err)
	}
	for _, n := range c.NodeNames() {
		if !host.NetnsExists(c.Netns(n)) {
			continue
		}
		old, err := d.Component(n, Proxy)
		if err != nil {
			return err
		}
		if err := stopComponent(old, 5*time.Second); err != nil {
			return err
		}
		cleanup := exec.CommandContext(ctx, self)
		cleanup.Args, cleanup.Env = []string{"kube-proxy", "--cleanup"}, old.Spec.Env
		var out []byte
		err = host.Do(c.Netns(n), func() (err error) {
			out, err = cleanup.CombinedOutput()
			return err
		})
		if err != nil {
			return fmt.Errorf("clean up kube-proxy on %s: %w", n, errors.Join(err, errors.New(string(out))))
		}
		if _, err := start(c, d, n, Proxy); err != nil {
			return err
		}
		if err := awaitProxy(ctx, c, d, n); err != nil {
			return err
		}
		say("kube-proxy on %s is in %s mode", n, mode)
	}
	return nil
}
