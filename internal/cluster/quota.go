// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"math"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/lb"
)

// quota is one entry of spec.quotas, its selector not yet applied to the namespaces.
type quota struct {
	lb.Quota
	selectors lb.Selectors
}

func compileQuotas(r *report, in []v1beta1.NamespaceQuota) []quota {
	var out []quota
	for i, q := range in {
		path := index("spec.quotas", i)
		limit := int(min(q.Addresses, math.MaxInt32))
		if limit < 0 {
			r.field(path+".addresses", "quota %d is negative and counts as 0; write the number of addresses", q.Addresses)
			limit = 0
		}
		c := quota{Quota: lb.Quota{Max: limit, AnyNamespace: q.Namespace == "" && q.NamespaceSelector == nil}}
		if q.Namespace != "" {
			c.Namespaces = []string{q.Namespace}
		}
		if q.NamespaceSelector != nil {
			c.selectors = lb.Selectors{compileSelector(r, path+".namespaceSelector", q.NamespaceSelector)}
		}
		if len(c.Namespaces) > 0 && len(c.selectors) > 0 {
			r.field(path, "has both namespace and namespaceSelector and covers what either chooses; make two entries of it")
		}
		out = append(out, c)
	}
	return out
}

// duration reads an optional length of time, 0 when it is absent.
func duration(r *report, path string, in *metav1.Duration) time.Duration {
	if in == nil {
		return 0
	}
	if in.Duration < 0 {
		r.field(path, "%s is negative and counts as 0; write a length of time such as 5m", in.Duration)
		return 0
	}
	return in.Duration
}
