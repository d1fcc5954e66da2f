// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"math"
	"time"
)

// Parameters are the settings of the gossip: the 19 fields of MetalLB's config file.
type Parameters struct {
	TCPTimeout              time.Duration
	IndirectChecks          int
	RetransmitMult          int
	SuspicionMult           int
	SuspicionMaxTimeoutMult int
	PushPullInterval        time.Duration
	ProbeTimeout            time.Duration
	ProbeInterval           time.Duration
	DisableTCPPings         bool
	AwarenessMaxMultiplier  int
	GossipNodes             int
	GossipInterval          time.Duration
	GossipToTheDeadTime     time.Duration
	GossipVerifyIncoming    bool
	GossipVerifyOutgoing    bool
	EnableCompression       bool
	HandoffQueueDepth       int
	UDPBufferSize           int
	QueueCheckInterval      time.Duration
}

// Size is a class of cluster sizes that share parameters.
type Size uint8

// The classes. Their limits are where the cost or the risk of the faster setting grows:
// 100 members that probe each 100 ms drowned in their own gossip when it was measured.
const (
	Small  Size = iota // up to 32 members
	Medium             // up to 100
	Large              // more
)

// String returns the name of the class, as logs and metrics show it.
func (s Size) String() string {
	return [...]string{"small", "medium", "large"}[s]
}

// SizeOf returns the class of a cluster of n members that is now run as current. A class
// is left upwards as soon as its limit is passed, and downwards only at 80 % of the lower
// limit, so that one node that comes and goes does not switch the whole cluster.
func SizeOf(n int, current Size) Size {
	limits := [...]int{Small: 32, Medium: 100}
	for s, limit := range limits {
		if Size(s) < current {
			limit = limit * 8 / 10
		}
		if n <= limit {
			return Size(s)
		}
	}
	return Large
}

// fastestProbe is the shortest ProbeTimeout of all classes.
const fastestProbe = 32 * time.Millisecond

// ForSize returns the parameters of a class.
//
// A death is known everywhere after the sum of
//
//	wait       until some member probes the dead one: the first of n-1 probers, each of
//	           which reaches it once in n-1 rounds; about half a ProbeInterval, rarely
//	           more than two
//	probe      ProbeInterval, of which ProbeTimeout is for the direct answer and the rest
//	           for up to three indirect ones and one by TCP
//	suspicion  SuspicionMult x max(1, log10 n) x ProbeInterval, the time to protest
//	spreading  GossipInterval x log4 n, three peers being told in each round
//
// In ms, best, usual and bad:
//
//	class   n      wait        probe  suspicion  spreading  sum
//	Small   3-10   0-60-240    80     160        10-40      250-320-520
//	Small   32     0-60-240    80     240        60         380-440-620
//	Medium  100    0-120-600   200    800        170        1170-1290-1770
//	Large   1000   0-300-1500  500    4500       500        5500-5800-7000
//
// Measured with three to ten speakers in namespaces on a machine with two processors, both
// shared with other work: median 285 to 390, worst 613 of 240 deaths. A live member is only
// declared dead if it is silent for the whole of probe and suspicion, which is 240 ms in a
// small cluster; a busy processor delays a speaker by far less (TestNoFalseAlarmUnderLoad).
//
// Where members watch each other directly (package watch) a death is known after 185 to 250 ms
// in every class, and these are the times of what the watch does not cover: a node that has just
// joined, a blocked port, speakers of MetalLB.
//
// ProbeTimeout is less than half of ProbeInterval: a helper that gets no answer either says
// so after another ProbeTimeout, and a prober that does not hear it in time takes itself
// for slow and doubles its next probes.
//
// Confirmations play no part below Large: memberlist asks for SuspicionMult-2 of them, and
// with none asked for SuspicionMaxTimeoutMult is not used. AwarenessMaxMultiplier lets a
// member that fails to get answers double its own probe (Small), which bounds the worst
// case; larger clusters use the full damping, because a storm there is worse than delay.
//
// The cost per member does not depend on n, except for a push/pull each 30 s: one ping and
// one answer per ProbeInterval as prober, the same as target; measured with encryption in a
// small cluster: 27 packets and 24 kbit each second, each way. Compression is off, since
// pings are too short to gain from it.
func ForSize(s Size) Parameters {
	p := Parameters{
		TCPTimeout:              time.Second,
		IndirectChecks:          3,
		RetransmitMult:          4,
		SuspicionMult:           2,
		SuspicionMaxTimeoutMult: 2,
		PushPullInterval:        30 * time.Second,
		ProbeTimeout:            fastestProbe,
		ProbeInterval:           80 * time.Millisecond,
		AwarenessMaxMultiplier:  2,
		GossipNodes:             3,
		GossipInterval:          20 * time.Millisecond,
		GossipToTheDeadTime:     30 * time.Second,
		GossipVerifyIncoming:    true,
		GossipVerifyOutgoing:    true,
		HandoffQueueDepth:       1024,
		UDPBufferSize:           1400,
		QueueCheckInterval:      30 * time.Second,
	}
	switch s {
	case Medium:
		p.ProbeTimeout, p.ProbeInterval = 80*time.Millisecond, 200*time.Millisecond
		p.GossipInterval = 50 * time.Millisecond
		p.AwarenessMaxMultiplier = 8
	case Large:
		p.ProbeTimeout, p.ProbeInterval = 200*time.Millisecond, 500*time.Millisecond
		p.GossipInterval = 100 * time.Millisecond
		p.SuspicionMult, p.SuspicionMaxTimeoutMult = 3, 6
		p.AwarenessMaxMultiplier = 8
		p.TCPTimeout = 5 * time.Second
	}
	return p
}

// WAN returns the parameters of --ml-wan-config, which are memberlist's own for clusters
// that span sites: a death is known after 35 to 60 s.
func WAN() Parameters {
	return Parameters{
		TCPTimeout:              30 * time.Second,
		IndirectChecks:          3,
		RetransmitMult:          4,
		SuspicionMult:           6,
		SuspicionMaxTimeoutMult: 6,
		PushPullInterval:        time.Minute,
		ProbeTimeout:            3 * time.Second,
		ProbeInterval:           5 * time.Second,
		AwarenessMaxMultiplier:  8,
		GossipNodes:             4,
		GossipInterval:          500 * time.Millisecond,
		GossipToTheDeadTime:     time.Minute,
		GossipVerifyIncoming:    true,
		GossipVerifyOutgoing:    true,
		EnableCompression:       true,
		HandoffQueueDepth:       1024,
		UDPBufferSize:           1400,
		QueueCheckInterval:      30 * time.Second,
	}
}

// Earliest is the shortest time in which peers with these parameters declare a member
// dead that stopped answering: one probe and the suspicion among n members. A process that
// stood still for longer cannot rely on being a member.
func (p Parameters) Earliest(n int) time.Duration {
	scale := math.Max(1, math.Log10(math.Max(1, float64(n))))
	return p.ProbeInterval + time.Duration(float64(p.SuspicionMult)*scale*float64(p.ProbeInterval))
}
