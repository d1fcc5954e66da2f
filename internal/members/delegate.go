// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

// markWatch begins the messages of the direct watch; those of the record of owners begin with
// another byte, and neither ever changes, since speakers of different versions talk to each
// other.
const markWatch = 'W'

// delegate hands what memberlist's messages carry to whom it concerns. Its methods are called
// by memberlist and must not call back.
type delegate struct {
	*gossip
	m *Members
}

// NotifyMsg takes a message of a peer.
func (d delegate) NotifyMsg(b []byte) {
	if len(b) > 0 && b[0] == markWatch {
		d.m.hearWatch(b[1:])
		return
	}
	d.gossip.NotifyMsg(b)
}
