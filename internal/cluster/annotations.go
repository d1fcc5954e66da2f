// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"

	"github.com/clarion-lb/clarion/internal/lb"
)

// AnnotationAllocatedPool is what the controller writes on a Service beside its addresses:
// the name of the pool they come from.
const AnnotationAllocatedPool = "metallb.io/ip-allocated-from-pool"

// LabelExcludeNode keeps a node from announcing anything, whatever its value.
const LabelExcludeNode = "node.kubernetes.io/exclude-from-external-load-balancers"

// AnnotationLeave on a Node, with any value but "false", is the lasting order that other nodes
// take over the addresses that it announces.
const AnnotationLeave = "metallb.io/leave"

// AnnotationRebalance on an L2Advertisement, with any value but "false", moves its sticky
// addresses to where they would go if they were not sticky, for as long as it is there.
const AnnotationRebalance = "metallb.io/rebalance"

// ordered says whether an annotation gives an order.
func ordered(annotations map[string]string, key string) bool {
	value, ok := annotations[key]
	return ok && value != "false"
}

// setting is something that users ask for by annotation, under one of two keys.
type setting struct{ key, deprecated string }

func settingPool() setting {
	return setting{"metallb.io/address-pool", "metallb.universe.tf/address-pool"}
}

func settingAddresses() setting {
	return setting{"metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs"}
}

func settingSharing() setting {
	return setting{"metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"}
}

// of returns the value of the setting. The new key wins if it is there at all, even when it
// is empty; the deprecated one is reported when it is the one that counts.
func (s setting) of(r *report, annotations map[string]string) string {
	if value, ok := annotations[s.key]; ok {
		return value
	}
	value, ok := annotations[s.deprecated]
	if ok {
		r.add(lb.DeprecatedAnnotation, "metadata.annotations["+s.deprecated+"]", false,
			fmt.Sprintf("Service uses deprecated annotation %s; rename it to %s", s.deprecated, s.key))
	}
	return value
}
