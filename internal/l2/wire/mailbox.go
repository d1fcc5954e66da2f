// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"net/netip"
	"sync"
	"time"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// letter is everything callers said since the loop last looked. Whole sets replace each
// other, so a slow loop skips to the newest.
type letter struct {
	links         []lb.Link
	hasLinks      bool
	want          []lb.Announcement
	hasWant       bool
	release       []netip.Addr
	reannounce    []netip.Addr
	reannounceAll bool
	leave         bool
	probe         []netip.Addr
	hasProbe      bool
	confirm       time.Time
	yield         []netip.Addr
	hasYield      bool
	speakers      map[l2.MAC]string
	hasSpeakers   bool
}

// mailbox holds one letter and a one-slot kick.
type mailbox struct {
	mu   sync.Mutex
	next letter
	kick chan struct{}
}

func newMailbox() *mailbox { return &mailbox{kick: make(chan struct{}, 1)} }

func (m *mailbox) post(write func(*letter)) {
	m.mu.Lock()
	write(&m.next)
	m.mu.Unlock()
	select {
	case m.kick <- struct{}{}:
	default:
	}
}

func (m *mailbox) take() letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.next
	m.next = letter{}
	return l
}
