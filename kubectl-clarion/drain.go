// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/kube"
	"github.com/clarion-lb/clarion/internal/lb"
)

// emptyFor is how long a node must be seen without an address until that counts: a speaker
// writes its status objects within a second or two of the change.
const emptyFor = 2 * time.Second

var errTimeout = errors.New("timed out")

func newDrain(t *target) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "drain NODE",
		Short: "Move the layer 2 addresses off a node, for good",
		Long: `Orders other nodes to take over the addresses that the node announces by layer 2, and
waits until they have. No packet is lost. The order is the annotation ` + cluster.AnnotationLeave + ` on
the Node. It stays, also when this command is interrupted, until "undrain".

Addresses that no other node may announce stay. Pods are left alone: see "kubectl drain".`,
		Example: "  kubectl clarion drain node-3 --timeout 30s",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.connect()
			if err != nil {
				return err
			}
			return drain(cmd.Context(), cmd.OutOrStdout(), drainOrder{c, t.namespace(), args[0], timeout})
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long to wait until the node announces nothing; 0: do not wait")
	return cmd
}

type drainOrder struct {
	clients         kube.Clients
	namespace, node string
	timeout         time.Duration
}

func drain(ctx context.Context, out io.Writer, o drainOrder) error {
	before, err := readPlaces(ctx, o.clients, o.namespace)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Format(time.RFC3339)
	if err := annotateNode(ctx, o.clients, o.node, &now); err != nil {
		return err
	}
	say(out, "node %s is ordered to leave its addresses; it announces %d Services", o.node, len(before.at(o.node)))
	if o.timeout <= 0 {
		return nil
	}
	waiting, cancel := context.WithTimeoutCause(ctx, o.timeout, errTimeout)
	defer cancel()
	after := before
	var empty time.Time
	err = poll(waiting, func() (bool, error) {
		seen, err := readPlaces(waiting, o.clients, o.namespace)
		if err != nil {
			return false, err
		}
		after = seen
		if len(after.at(o.node)) > 0 {
			empty = time.Time{}
			return false, nil
		}
		if empty.IsZero() {
			empty = time.Now()
		}
		return time.Since(empty) >= emptyFor, nil
	})
	for _, line := range after.moves(before) {
		say(out, "  %s", line)
	}
	if errors.Is(err, errTimeout) {
		return stillThere(o, after.at(o.node))
	}
	if err != nil {
		return fmt.Errorf("wait for %s to announce nothing: %w", o.node, err)
	}
	say(out, "node %s announces nothing; to let it have addresses again: kubectl clarion undrain %s", o.node, o.node)
	return nil
}

// stillThere says what is left on a node when the time is over.
func stillThere(o drainOrder, left []lb.Key) error {
	const most = 10
	text := fmt.Sprintf("node %s still announces %d Services after %s, and the order to leave stays. "+
		"Either no other node may announce them (externalTrafficPolicy: Local, nodeSelectors, interfaces), or the speaker does not run:",
		o.node, len(left), o.timeout)
	for i, k := range left {
		if i == most {
			text += fmt.Sprintf("\n  and %d more", len(left)-most)
			break
		}
		text += "\n  " + k.String()
	}
	return errors.New(text)
}

func newUndrain(t *target) *cobra.Command {
	return &cobra.Command{
		Use:     "undrain NODE",
		Short:   "Take back the order of drain",
		Long:    "Lets a node have addresses again. Sticky addresses stay where they are; others move to it at once if it is their place.",
		Example: "  kubectl clarion undrain node-3",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.connect()
			if err != nil {
				return err
			}
			if err := annotateNode(cmd.Context(), c, args[0], nil); err != nil {
				return err
			}
			say(cmd.OutOrStdout(), "node %s may have addresses again", args[0])
			return nil
		},
	}
}

// annotateNode gives the order to leave, or takes it back.
func annotateNode(ctx context.Context, c kube.Clients, node string, value *string) error {
	_, err := c.Builtin.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType,
		annotation(cluster.AnnotationLeave, value), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("annotate node %s: %w", node, err)
	}
	return nil
}

// annotation returns the merge patch that sets an annotation, or removes it for nil.
func annotation(key string, value *string) []byte {
	patch := map[string]any{"metadata": map[string]any{"annotations": map[string]*string{key: value}}}
	out, err := json.Marshal(patch)
	if err != nil {
		panic(err) // maps of strings can be written
	}
	return out
}

// say prints a line. That the reader has gone is no reason to stop what was ordered.
func say(out io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(out, format+"\n", args...)
}
