// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// profile says how an implementation is installed.
type profile struct {
	// Manifests is a kustomize folder or a manifest file, relative to the profile. Its Pods
	// must carry the label component=controller or component=speaker.
	Manifests string `json:"manifests"`
	// ControllerArgs and SpeakerArgs replace the arguments in the manifests, if given.
	ControllerArgs []string `json:"controllerArgs"`
	SpeakerArgs    []string `json:"speakerArgs"`
}

func readProfile(path string) (profile, error) {
	var p profile
	data, err := os.ReadFile(path) //nolint:gosec // the path is the user's
	if err != nil {
		return p, fmt.Errorf("read profile: %w", err)
	}
	if err := yaml.UnmarshalStrict(data, &p); err != nil {
		return p, fmt.Errorf("read profile %s: %w", path, err)
	}
	if p.Manifests == "" {
		return p, fmt.Errorf("profile %s names no manifests", path)
	}
	p.Manifests = filepath.Join(filepath.Dir(path), p.Manifests)
	return p, nil
}

// install applies the manifests with the arguments of the profile, and leaves the controller
// and the speakers as the manifests have them.
func (p profile) install(ctx context.Context, l labctl.Lab) error {
	if err := l.ApplyTree(ctx, p.Manifests); err != nil {
		return err
	}
	for what, args := range map[string][]string{"deployment/controller": p.ControllerArgs, "daemonset/speaker": p.SpeakerArgs} {
		if args == nil {
			continue
		}
		list, err := json.Marshal(args)
		if err != nil {
			return fmt.Errorf("encode arguments: %w", err)
		}
		patch := fmt.Sprintf(`[{"op":"add","path":"/spec/template/spec/containers/0/args","value":%s}]`, list)
		if _, err := l.Kubectl(ctx, "-n", labctl.Namespace, "patch", what, "--type=json", "-p", patch); err != nil {
			return err
		}
	}
	return nil
}

// scale sets the number of controllers and waits until that many run.
func scale(ctx context.Context, l labctl.Lab, n int) error {
	if _, err := l.Kubectl(ctx, "-n", labctl.Namespace, "scale", "deployment/controller", fmt.Sprintf("--replicas=%d", n)); err != nil {
		return err
	}
	return labctl.Eventually(ctx, time.Minute, func(ctx context.Context) error {
		out, err := l.Kubectl(ctx, "-n", labctl.Namespace, "get", "pods", "-l", "component=controller", "-o", "name")
		if err != nil {
			return err
		}
		if got := lines(out); got != n {
			return fmt.Errorf("%d controllers exist, want %d", got, n)
		}
		return nil
	})
}

func lines(s string) int {
	n := 0
	for _, r := range s {
		if r == '\n' {
			n++
		}
	}
	return n
}
