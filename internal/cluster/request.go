// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/clarion-lb/clarion/internal/lb"
)

// parseRequest reads the addresses that a Service asks for: the annotation's list or
// spec.loadBalancerIP, but not both. The texts are those that MetalLB's users know.
func parseRequest(list, single string) ([]netip.Addr, error) {
	switch {
	case list != "" && single != "":
		return nil, errors.New("service can not have both metallb.io/loadBalancerIPs and svc.Spec.LoadBalancerIP")
	case list != "":
		return parseAddrList(list)
	case single != "":
		addr, err := parseAddr(single)
		if err != nil {
			return nil, fmt.Errorf("invalid spec.loadBalancerIP %q", single)
		}
		return []netip.Addr{addr}, nil
	default:
		return nil, nil
	}
}

// parseAddrList reads one address, or one of each family, separated by a comma.
func parseAddrList(list string) ([]netip.Addr, error) {
	parts := strings.Split(list, ",")
	addrs := make([]netip.Addr, 0, len(parts))
	for _, part := range parts {
		addr, err := parseAddr(strings.TrimSpace(part))
		if err != nil {
			return nil, fmt.Errorf("invalid metallb.io/loadBalancerIPs: %q", list)
		}
		addrs = append(addrs, addr)
	}
	if len(addrs) > 2 {
		return nil, fmt.Errorf("invalid metallb.io/loadBalancerIPs: %q: more than two addresses", list)
	}
	if len(addrs) == 2 && lb.FamilyOf(addrs[0]) == lb.FamilyOf(addrs[1]) {
		return nil, fmt.Errorf("invalid metallb.io/loadBalancerIPs: %q has the same family twice", list)
	}
	return addrs, nil
}
