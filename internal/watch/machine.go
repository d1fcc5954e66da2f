// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"maps"
	"slices"
	"time"
)

// Times of an inquiry.
const (
	// PingTime is how long a ping may take before its target counts as not answering. In a
	// segment it takes a fraction of a millisecond; the rest is for processors that are busy.
	PingTime = 40 * time.Millisecond
	// inquiryTime is how long the helpers have for their pings and answers, when not all answer.
	inquiryTime = 120 * time.Millisecond
	// askAgain is when helpers that have not answered are asked once more.
	askAgain = 20 * time.Millisecond
	// helpers is how many are asked.
	helpers = 3
	// firstPause and lastPause bound how long a node that denied a finding is left alone.
	firstPause = 10 * time.Second
	lastPause  = 5 * time.Minute
)

const repeatCount = 3

// repeats are the times after the first message at which a finding or a denial is said again.
func repeats() [repeatCount]time.Duration {
	return [repeatCount]time.Duration{30 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond}
}

// Config is what a Machine must know.
type Config struct {
	Self string // this node
	// Serial is the number of the first message, higher than any of an earlier life.
	Serial uint64
	// Forget is how long a finding holds without the membership's confirmation: longer than
	// the membership needs to find a death itself.
	Forget time.Duration
}

// Session is what is heard of a watched node.
type Session struct {
	Node string
	// Silent is true when the session was up and expired, and is not up again. A session that
	// ended in an orderly way, or that never was up, is not silent.
	Silent bool
}

// Op is what an Action asks for.
type Op uint8

// The operations.
const (
	Send  Op = iota + 1 // send Message to the node To
	Ping                // ping the node To and report by Pinged within PingTime
	Fence               // this node was declared gone: prove its place, then call Restored
)

// Action is something that the host must do.
type Action struct {
	Op      Op
	To      string
	Message Message // of Send
}

// Machine is the state of one watcher. It is not safe for concurrent use. Times are those of
// any clock that does not run backwards.
type Machine struct {
	config    Config
	members   []string // the others that the membership has as alive, sorted
	silent    map[string]bool
	inquiries map[string]*inquiry
	pinging   map[string]bool
	errands   map[string][]Message // by node that is pinged: the questions to answer
	doubts    map[string]doubt
	last      map[source]uint64 // serial of the last finding or denial of each node
	pauses    map[string]pause
	accused   bool
	unfit     bool
	saying    []saying
}

// inquiry is a suspicion that is being checked.
type inquiry struct {
	serial  uint64
	asked   []string
	denied  map[string]bool // helpers that said No
	unheard bool            // the own ping was not answered
	again   time.Duration   // when to ask again; 0 when done
	ends    time.Duration
}

// doubt is a finding, own or another's.
type doubt struct {
	own   bool
	until time.Duration
}

// source names a kind of message of a node.
type source struct {
	node string
	kind Kind
}

// pause keeps this watcher from suspecting a node.
type pause struct {
	until  time.Duration
	length time.Duration
}

// saying is a message to all that is repeated.
type saying struct {
	message Message
	began   time.Duration
	said    int // repetitions so far
}

// New returns a Machine that watches nobody.
func New(c Config) *Machine {
	return &Machine{
		config: c, silent: map[string]bool{}, inquiries: map[string]*inquiry{}, pinging: map[string]bool{},
		errands: map[string][]Message{}, doubts: map[string]doubt{}, last: map[source]uint64{}, pauses: map[string]pause{},
	}
}

// Doubted returns the members to leave out of the view, sorted.
func (m *Machine) Doubted() []string { return slices.Sorted(maps.Keys(m.doubts)) }

// Doubts says whether a member is to be left out of the view.
func (m *Machine) Doubts(node string) bool {
	_, ok := m.doubts[node]
	return ok
}

// SetMembers hands over the other nodes that the membership has as alive, and how long a
// finding now holds. What concerns nodes that are no longer among them is forgotten: the
// membership knows.
func (m *Machine) SetMembers(alive []string, forget time.Duration) {
	m.config.Forget = forget
	m.members = slices.Clone(alive)
	slices.Sort(m.members)
	gone := func(node string) bool { return !m.isMember(node) }
	maps.DeleteFunc(m.silent, func(n string, _ bool) bool { return gone(n) })
	maps.DeleteFunc(m.inquiries, func(n string, _ *inquiry) bool { return gone(n) })
	maps.DeleteFunc(m.doubts, func(n string, _ doubt) bool { return gone(n) })
	maps.DeleteFunc(m.last, func(s source, _ uint64) bool { return gone(s.node) })
	maps.DeleteFunc(m.pauses, func(n string, _ pause) bool { return gone(n) })
}

// SetFit says whether this node may judge others: one without a link, or that has just stood
// still, may not, and what it has found is void.
func (m *Machine) SetFit(fit bool) {
	m.unfit = !fit
	if fit {
		return
	}
	clear(m.inquiries)
	maps.DeleteFunc(m.doubts, func(_ string, d doubt) bool { return d.own })
	m.saying = slices.DeleteFunc(m.saying, func(s saying) bool { return s.message.Kind == Gone })
}

func (m *Machine) isMember(node string) bool {
	_, found := slices.BinarySearch(m.members, node)
	return found
}

// SetSessions hands over what is heard of all watched nodes.
func (m *Machine) SetSessions(sessions []Session, now time.Duration) []Action {
	var out []Action
	silent := map[string]bool{}
	for _, s := range sessions {
		if !s.Silent || !m.isMember(s.Node) {
			continue
		}
		silent[s.Node] = true
		if !m.silent[s.Node] {
			out = append(out, m.suspect(s.Node, now)...)
		}
	}
	m.silent = silent
	return out
}

// suspect begins an inquiry, unless the node is out already or is to be left alone.
func (m *Machine) suspect(node string, now time.Duration) []Action {
	if m.unfit || m.Doubts(node) || m.inquiries[node] != nil || now < m.pauses[node].until {
		return nil
	}
	q := &inquiry{serial: m.serial(), denied: map[string]bool{}, again: now + askAgain, ends: now + inquiryTime}
	q.asked = m.chooseHelpers(node, q.serial)
	m.inquiries[node] = q
	out := m.ping(node)
	for _, h := range q.asked {
		out = append(out, m.send(h, Message{Kind: Ask, Node: node, Serial: q.serial}))
	}
	return out
}

// chooseHelpers returns some members other than the silent one, other ones each time.
func (m *Machine) chooseHelpers(node string, serial uint64) []string {
	var all []string
	for _, n := range m.members {
		if n != node && !m.Doubts(n) {
			all = append(all, n)
		}
	}
	if len(all) <= helpers {
		return all
	}
	at := int(serial % uint64(len(all)))
	return append(slices.Clone(all[at:]), all[:at]...)[:helpers]
}

func (m *Machine) serial() uint64 {
	m.config.Serial++
	return m.config.Serial
}

func (m *Machine) send(to string, msg Message) Action {
	msg.From = m.config.Self
	return Action{Op: Send, To: to, Message: msg}
}

// ping asks for a ping unless one is under way.
func (m *Machine) ping(node string) []Action {
	if m.pinging[node] {
		return nil
	}
	m.pinging[node] = true
	return []Action{{Op: Ping, To: node}}
}

// Pinged tells how a ping ended.
func (m *Machine) Pinged(node string, answered bool, now time.Duration) []Action {
	delete(m.pinging, node)
	var out []Action
	kind := No
	if answered {
		kind = Yes
	}
	for _, q := range m.errands[node] {
		out = append(out, m.send(q.From, Message{Kind: kind, Node: node, Serial: q.Serial}))
	}
	delete(m.errands, node)
	if q := m.inquiries[node]; q != nil {
		if answered {
			delete(m.inquiries, node)
		} else {
			q.unheard = true
			out = append(out, m.judge(node, q, now)...)
		}
	}
	return out
}

// judge ends an inquiry when it has an answer.
func (m *Machine) judge(node string, q *inquiry, now time.Duration) []Action {
	over := now >= q.ends
	allDenied := q.unheard && len(q.denied) == len(q.asked)
	if !over && !allDenied {
		return nil
	}
	delete(m.inquiries, node)
	if !q.unheard || len(q.asked) > 0 && len(q.denied) == 0 {
		return nil // nobody helped: this node may be the one that is cut off
	}
	m.doubts[node] = doubt{own: true, until: now + m.config.Forget}
	return m.tellAll(Message{Kind: Gone, Node: node, Serial: q.serial}, now)
}

// tellAll says something to every member, the doubted ones included, now and again.
func (m *Machine) tellAll(msg Message, now time.Duration) []Action {
	m.saying = append(m.saying, saying{message: msg, began: now})
	return m.say(msg)
}

func (m *Machine) say(msg Message) []Action {
	out := make([]Action, 0, len(m.members))
	for _, n := range m.members {
		out = append(out, m.send(n, msg))
	}
	return out
}
