// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package bgp holds the tests of BGP and BFD against FRR from Debian, in network namespaces of their
// own. They need root and fail without it. What they test lives in internal/bgp and internal/bfd;
// this package contains nothing else.
package bgp
