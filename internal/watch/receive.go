// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"slices"
	"time"
)

// Receive takes a message of another node.
func (m *Machine) Receive(msg Message, now time.Duration) []Action {
	if msg.From == m.config.Self || !m.isMember(msg.From) {
		return nil
	}
	switch msg.Kind {
	case Ask:
		return m.asked(msg)
	case Yes:
		if q := m.inquiries[msg.Node]; q != nil && q.serial == msg.Serial {
			delete(m.inquiries, msg.Node)
		}
	case No:
		if q := m.inquiries[msg.Node]; q != nil && q.serial == msg.Serial && slices.Contains(q.asked, msg.From) {
			q.denied[msg.From] = true
			return m.judge(msg.Node, q, now)
		}
	case Gone:
		return m.gone(msg, now)
	case Here:
		m.here(msg, now)
	}
	return nil
}

// asked is a question of another watcher.
func (m *Machine) asked(msg Message) []Action {
	switch {
	case msg.Node == m.config.Self:
		return []Action{m.send(msg.From, Message{Kind: Yes, Node: msg.Node, Serial: msg.Serial})}
	case !m.isMember(msg.Node) || m.Doubts(msg.Node):
		return []Action{m.send(msg.From, Message{Kind: No, Node: msg.Node, Serial: msg.Serial})}
	case slices.Contains(m.errands[msg.Node], msg):
		return nil // asked again; the ping is under way
	}
	m.errands[msg.Node] = append(m.errands[msg.Node], msg)
	return m.ping(msg.Node)
}

// gone is a finding. Each counts once: a copy that comes late must not undo a denial. Two that
// find each other gone would both be out, so those of a doubted node do not count.
func (m *Machine) gone(msg Message, now time.Duration) []Action {
	if !m.isNew(msg) || m.Doubts(msg.From) {
		return nil
	}
	if msg.Node == m.config.Self {
		if m.accused {
			return nil // another watcher found the same; the proof is under way
		}
		m.accused = true
		return []Action{{Op: Fence}}
	}
	if !m.isMember(msg.Node) {
		return nil
	}
	delete(m.inquiries, msg.Node)
	if d := m.doubts[msg.Node]; d.until < now+m.config.Forget {
		d.until = now + m.config.Forget
		m.doubts[msg.Node] = d
	}
	return nil
}

// here is a denial.
func (m *Machine) here(msg Message, now time.Duration) {
	if msg.From != msg.Node || !m.isNew(msg) {
		return
	}
	node := msg.Node
	delete(m.inquiries, node)
	if m.doubts[node].own {
		length := min(max(firstPause, 2*m.pauses[node].length), lastPause)
		m.pauses[node] = pause{until: now + length, length: length}
	}
	delete(m.doubts, node)
	m.saying = slices.DeleteFunc(m.saying, func(s saying) bool { return s.message.Kind == Gone && s.message.Node == node })
}

func (m *Machine) isNew(msg Message) bool {
	from := source{msg.From, msg.Kind}
	if msg.Serial <= m.last[from] {
		return false
	}
	m.last[from] = msg.Serial
	return true
}

// Restored says that this node has proved its place. If it had been declared gone, it tells
// everybody.
func (m *Machine) Restored(now time.Duration) []Action {
	if !m.accused {
		return nil
	}
	m.accused = false
	return m.tellAll(Message{Kind: Here, Node: m.config.Self, Serial: m.serial()}, now)
}

// Accused says whether this node was declared gone and has not denied it yet.
func (m *Machine) Accused() bool { return m.accused }

// Tick does what is due. Call it at Next.
func (m *Machine) Tick(now time.Duration) []Action {
	var out []Action
	for _, node := range m.members { // in order, so that a run can be repeated
		q := m.inquiries[node]
		if q == nil {
			continue
		}
		if q.again != 0 && now >= q.again {
			q.again = 0
			for _, h := range q.asked {
				if !q.denied[h] {
					out = append(out, m.send(h, Message{Kind: Ask, Node: node, Serial: q.serial}))
				}
			}
		}
		out = append(out, m.judge(node, q, now)...)
	}
	for node, d := range m.doubts {
		if now >= d.until {
			delete(m.doubts, node)
		}
	}
	for i := range m.saying {
		s := &m.saying[i]
		if now >= s.began+repeats()[s.said] {
			s.said++
			out = append(out, m.say(s.message)...)
		}
	}
	m.saying = slices.DeleteFunc(m.saying, func(s saying) bool { return s.said == repeatCount })
	return out
}

// Next returns when Tick has something to do; ok is false when nothing is due.
func (m *Machine) Next() (at time.Duration, ok bool) {
	due := func(t time.Duration) {
		if !ok || t < at {
			at, ok = t, true
		}
	}
	for _, q := range m.inquiries {
		due(q.ends)
		if q.again != 0 {
			due(q.again)
		}
	}
	for _, d := range m.doubts {
		due(d.until)
	}
	for i := range m.saying {
		due(m.saying[i].began + repeats()[m.saying[i].said])
	}
	return at, ok
}
