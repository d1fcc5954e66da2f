// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package plan decides what one node must announce, and why: it turns the cluster as all
// speakers see it and the membership as this one sees it into the complete list of
// announcements, into the events that its changes deserve and into the status objects that
// describe it. It does not decide who wins among equals (package elect), does not look at
// the wire, and writes nothing.
package plan
