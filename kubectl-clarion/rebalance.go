// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/cluster"
	"github.com/clarion-lb/clarion/internal/kube"
)

// quietFor is how long nothing must have moved until the move counts as done. Speakers wait for
// three seconds without a change before each move, and report a second or two after it.
const quietFor = 8 * time.Second

// takeBackWithin bounds the removal of the order, which must not be left out when the command is
// interrupted.
const takeBackWithin = 10 * time.Second

func newRebalance(t *target) *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "rebalance",
		Short: "Move sticky addresses to where they would be if they were not sticky",
		Long: `Orders all speakers, by the annotation ` + cluster.AnnotationRebalance + ` on each L2Advertisement
whose addresses are sticky, to move them as if they were not; waits until nothing has moved for a
while, and takes the order back. No packet is lost.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := t.connect()
			if err != nil {
				return err
			}
			return rebalance(cmd.Context(), cmd.OutOrStdout(), rebalanceOrder{c, t.namespace(), timeout})
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Minute, "how long to wait until nothing moves any more")
	return cmd
}

type rebalanceOrder struct {
	clients   kube.Clients
	namespace string
	timeout   time.Duration
}

func rebalance(ctx context.Context, out io.Writer, o rebalanceOrder) (err error) {
	names, err := o.sticky(ctx)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		say(out, "no L2Advertisement in %s has spec.election.sticky: addresses are where they belong", o.namespace)
		return nil
	}
	before, err := readPlaces(ctx, o.clients, o.namespace)
	if err != nil {
		return err
	}
	now := time.Now().UTC().Format(time.RFC3339)
	defer func() {
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), takeBackWithin)
		defer cancel()
		err = errors.Join(err, o.annotate(back, names, nil))
	}()
	if err := o.annotate(ctx, names, &now); err != nil {
		return err
	}
	after, err := o.wait(ctx, before)
	moved := after.moves(before)
	for _, line := range moved {
		say(out, "  %s", line)
	}
	if err != nil {
		return err
	}
	say(out, "%d Services moved", len(moved))
	return nil
}

// sticky returns the L2Advertisements whose addresses are sticky.
func (o rebalanceOrder) sticky(ctx context.Context) ([]string, error) {
	var list v1beta1.L2AdvertisementList
	if err := o.clients.V1beta1.Get().Namespace(o.namespace).Resource("l2advertisements").Do(ctx).Into(&list); err != nil {
		return nil, fmt.Errorf("list L2Advertisements in %s: %w", o.namespace, err)
	}
	var names []string
	for i := range list.Items {
		if e := list.Items[i].Spec.Election; e != nil && e.Sticky {
			names = append(names, list.Items[i].Name)
		}
	}
	return names, nil
}

func (o rebalanceOrder) annotate(ctx context.Context, names []string, value *string) error {
	var errs []error
	for _, name := range names {
		err := o.clients.V1beta1.Patch(types.MergePatchType).Namespace(o.namespace).Resource("l2advertisements").Name(name).
			Body(annotation(cluster.AnnotationRebalance, value)).Do(ctx).Error()
		if err != nil {
			errs = append(errs, fmt.Errorf("annotate L2Advertisement %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// wait returns where the Services are once nothing has moved for a while.
func (o rebalanceOrder) wait(ctx context.Context, last places) (places, error) {
	waiting, cancel := context.WithTimeoutCause(ctx, o.timeout, errTimeout)
	defer cancel()
	since := time.Now()
	err := poll(waiting, func() (bool, error) {
		now, err := readPlaces(waiting, o.clients, o.namespace)
		if err != nil {
			return false, err
		}
		if !now.equal(last) {
			last, since = now, time.Now()
		}
		return time.Since(since) >= quietFor, nil
	})
	if errors.Is(err, errTimeout) {
		err = fmt.Errorf("addresses still move after %s; the order is taken back", o.timeout)
	}
	return last, err
}
