// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package frr

import (
	"regexp"
	"strings"
	"time"
)

// SessionChange is a session of bgpd that came up or went down, by its log.
type SessionChange struct {
	Time     time.Time
	Neighbor string
	Up       bool
	Why      string // of a session that went down
}

var adjacency = regexp.MustCompile(`^(\S+ \S+) .*%ADJCHANGE: neighbor ([^( ]+)\S* in vrf \S+ (Up|Down)(.*)`)

// SessionChanges returns all sessions that came and went so far, in this order. The
// configuration must say "bgp log-neighbor-changes" and "log timestamp precision 6", as Fabric does.
func (r *Router) SessionChanges() []SessionChange {
	var out []SessionChange
	for line := range strings.Lines(r.daemons["bgpd"].out.all()) {
		m := adjacency.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		at, err := time.ParseInLocation("2006/01/02 15:04:05.999999", m[1], time.Local)
		if err != nil {
			continue
		}
		out = append(out, SessionChange{Time: at, Neighbor: m[2], Up: m[3] == "Up", Why: strings.TrimSpace(m[4])})
	}
	return out
}
