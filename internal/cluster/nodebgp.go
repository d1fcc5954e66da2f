// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/clarion-lb/clarion/internal/lb"
)

// Annotations on a Node that say what its BGP sessions have of their own. They win over the
// BGPPeers, which say the same to all nodes.
const (
	AnnotationASN      = "metallb.io/bgp-asn"            // in place of spec.myASN
	AnnotationRouterID = "metallb.io/bgp-router-id"      // in place of spec.routerID
	AnnotationSource   = "metallb.io/bgp-source-address" // in place of spec.sourceAddress; one of each family, with a comma
)

// compileNodeBGP reads the annotations of a node. What cannot be read is left to the BGPPeers.
func compileNodeBGP(r *report, annotations map[string]string) lb.NodeBGP {
	var out lb.NodeBGP
	if text, ok := annotations[AnnotationASN]; ok {
		asn, err := strconv.ParseUint(text, 10, 32)
		if err != nil || asn == 0 {
			r.field(annotation(AnnotationASN), "%q is no AS number; write 1 to 4294967295, until then that of the BGPPeer is used", text)
		}
		out.ASN = uint32(asn)
		if err != nil {
			out.ASN = 0
		}
	}
	if text, ok := annotations[AnnotationRouterID]; ok {
		id, err := netip.ParseAddr(text)
		if err != nil || !id.Is4() || id.IsUnspecified() {
			r.field(annotation(AnnotationRouterID), "%q is no router ID; write it in the form of an IPv4 address, until then that of the BGPPeer is used", text)
			id = netip.Addr{}
		}
		out.RouterID = id
	}
	for text := range strings.SplitSeq(annotations[AnnotationSource], ",") {
		if text = strings.TrimSpace(text); text != "" {
			compileNodeSource(r, text, &out)
		}
	}
	return out
}

// compileNodeSource reads one source address.
func compileNodeSource(r *report, text string, out *lb.NodeBGP) {
	path := annotation(AnnotationSource)
	addr, err := parseAddr(text)
	if err != nil || addr.IsUnspecified() || addr.IsMulticast() || addr.Is6() && addr.IsLinkLocalUnicast() {
		r.field(path, "%q is no address for a session; write one such as 192.0.2.1, until then that of the BGPPeer is used", text)
		return
	}
	at := &out.Source4
	if addr.Is6() {
		at = &out.Source6
	}
	if at.IsValid() {
		r.field(path, "%q is the second address of its family; remove one, until then %s is used", text, *at)
		return
	}
	*at = addr
}

func annotation(key string) string { return "metadata.annotations[" + key + "]" }
