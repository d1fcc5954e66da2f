// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package link watches the network interfaces of this node through netlink and hands out
// whole snapshots of them. It decides nothing: which interface is suitable for what is a
// question for packages l2 and plan.
//
// It never polls. An event is only a hint to read everything again, so events that the
// kernel drops under load cost a fresh subscription and nothing else. Reading needs no
// capability.
package link
