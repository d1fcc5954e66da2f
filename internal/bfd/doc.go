// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package bfd decides, for one neighbour, whether it is reachable right now: it is the
// asynchronous mode of RFC 5880 with the echo function as a machine without clock, socket
// or goroutine. The host hands it packets and the time, and sends what it returns.
//
// It does not know addresses, ports or TTLs (RFC 5881, RFC 5883): those belong to the shell in
// bfd/udp. It does not authenticate, does not use demand mode itself, and decides nothing
// about BGP or layer 2.
package bfd
