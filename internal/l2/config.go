// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package l2

import (
	"fmt"
	"regexp"
	"time"
)

// Config holds the choices of a Machine. The zero value of a field means its default.
type Config struct {
	// Exclude are regular expressions of interface names that never carry addresses.
	// Nil means DefaultExclude(); an empty list excludes nothing.
	Exclude []string
	// Burst are the times after the first announcement at which it is repeated, ascending.
	// Nil means DefaultBurst(); an empty list announces once.
	Burst []time.Duration
	// RefreshMin and RefreshMax bound the random interval between refreshes of an address
	// after its burst: 60 s and 120 s. A negative RefreshMin switches refreshing off.
	RefreshMin, RefreshMax time.Duration
	// RefreshRate is the number of refreshes a second and link that are not exceeded on
	// average; intervals stretch to keep it. Default 50.
	RefreshRate int
	// Rate is the number of announcement frames a second and link; default 1,000.
	Rate int
	// Depth is how many frames may go at once before Rate applies; default 512.
	Depth int
	// Linger is how long a released address goes on answering when no new owner
	// announces itself; default 500 ms.
	Linger time.Duration
	// Probes and ProbeInterval are how many probes an address gets that Probe names, and
	// the time that each waits for an objection: 3 and 200 ms. RFC 5227 1.1 suggests 1-2 s,
	// made for links that were slow to come up; ours has been up.
	Probes        int
	ProbeInterval time.Duration
	// Verify asks, at the end of each burst and with each refresh, whether somebody else has
	// the address.
	Verify bool
	// Fresh is how old the evidence given to Confirm may be. When it is older, the machine
	// falls silent until newer evidence comes: a process that was stopped and resumes must
	// not answer for what it lost meanwhile. 0, the default, needs no evidence.
	Fresh time.Duration
	// Seed feeds the jitter of the refresh, so that speakers do not refresh in step.
	Seed uint64
}

// DefaultExclude returns MetalLB's list of interfaces that layer 2 leaves alone.
func DefaultExclude() []string {
	return []string{
		"^docker.*", "^cbr.*", "^dummy.*", "^virbr.*", "^lxcbr.*", "^veth.*", "^lo$", "^cali.*", "^tunl.*",
		"^flannel.*", "^kube-ipvs.*", "^cni.*", "^nodelocaldns.*", "^lxc.*",
	}
}

// DefaultBurst returns the repeats of an announcement. They are dense at first, because a
// lost first frame is lost downtime, and reach past the seconds for which a switch port
// may still be learning.
func DefaultBurst() []time.Duration {
	return []time.Duration{
		100 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond,
		1500 * time.Millisecond, 3 * time.Second,
	}
}

// The defaults of Config, explained there.
const (
	defaultRefreshMin  = 60 * time.Second
	defaultRefreshMax  = 120 * time.Second
	defaultRefreshRate = 50
	defaultRate        = 1000
	defaultDepth       = 512
	defaultLinger      = 500 * time.Millisecond
	defaultProbes      = 3
	defaultProbeWait   = 200 * time.Millisecond
)

// withDefaults fills the zero fields and compiles the exclusions.
func (c Config) withDefaults() (Config, []*regexp.Regexp, error) {
	if c.Exclude == nil {
		c.Exclude = DefaultExclude()
	}
	if c.Burst == nil {
		c.Burst = DefaultBurst()
	}
	if c.RefreshMin == 0 {
		c.RefreshMin = defaultRefreshMin
	}
	if c.RefreshMax == 0 {
		c.RefreshMax = defaultRefreshMax
	}
	c.RefreshMax = max(c.RefreshMin, c.RefreshMax)
	if c.RefreshRate <= 0 {
		c.RefreshRate = defaultRefreshRate
	}
	if c.Rate <= 0 {
		c.Rate = defaultRate
	}
	if c.Depth <= 0 {
		c.Depth = defaultDepth
	}
	if c.Linger == 0 {
		c.Linger = defaultLinger
	}
	if c.Probes <= 0 {
		c.Probes = defaultProbes
	}
	if c.ProbeInterval <= 0 {
		c.ProbeInterval = defaultProbeWait
	}
	exclude := make([]*regexp.Regexp, 0, len(c.Exclude))
	for _, s := range c.Exclude {
		re, err := regexp.Compile(s)
		if err != nil {
			return c, nil, fmt.Errorf("compile interface exclusion %q: %w", s, err)
		}
		exclude = append(exclude, re)
	}
	return c, exclude, nil
}
