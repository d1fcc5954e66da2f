// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package udp carries BFD sessions over UDP: single hop on ports 3784 and 3785 (RFC 5881), across
// hops on port 4784 (RFC 5883), for both families. It opens sockets, checks TTLs, finds the
// session of a packet, and keeps time; what a packet means is decided in package bfd.
package udp
