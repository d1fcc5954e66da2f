// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/clarion-lb/clarion/internal/l2"
	"github.com/clarion-lb/clarion/internal/lb"
)

// do executes actions in order. It never waits for a link: a frame that cannot leave at
// once is dropped, counted and said again by the machine's schedule. Whether anything may be
// said is asked once more before the first frame of a batch: making a large one takes a while.
func (w *Wire) do(actions []l2.Action) {
	var failed []failure
	asked, may := false, true
	for i := range actions {
		a := &actions[i]
		if sends(a) && !asked {
			asked, may = true, w.mayAnswer()
		}
		if sends(a) && !may {
			w.sent.Withheld++
			continue
		}
		if f, ok := w.one(a); !ok {
			failed = append(failed, f)
		}
	}
	for _, f := range failed {
		w.fail(f)
	}
}

// one executes one action; the result is false with the failure of a port.
func (w *Wire) one(a *l2.Action) (failure, bool) {
	key := portKey{a.Link, a.Family}
	p := w.ports[key]
	switch a.Op {
	case l2.Open:
		p, err := w.open(a)
		if err != nil {
			w.log.Warn("cannot listen on link, will retry", "link", a.Name, "family", a.Family.String(), "reason", err)
			return failure{p, err}, false
		}
		w.log.Info("announcing on link", "link", a.Name, "family", a.Family.String())
	case l2.Close:
		if p != nil {
			p.close()
			delete(w.ports, key)
			w.log.Info("left link", "link", a.Name, "family", a.Family.String())
		}
	case l2.Join:
		if p != nil && p.groups != nil {
			p.groups.join(a.Group)
		}
	case l2.Leave:
		if p != nil && p.groups != nil {
			p.groups.leave(a.Group)
		}
	case l2.SendARP, l2.SendNA, l2.SendNS:
		if p != nil {
			return w.send(p, a)
		}
	case l2.Conflict, l2.Free, l2.Released:
		w.log.Debug(a.Op.String(), "addr", a.Addr, "link", a.Name, "mac", a.MAC.String())
		if w.notify != nil {
			w.notify()
		}
	}
	return failure{}, true
}

// open makes the sockets of a port. The port is registered even when that fails, for the
// machine to close it.
func (w *Wire) open(a *l2.Action) (*port, error) {
	p := newPort(a)
	w.ports[portKey{a.Link, a.Family}] = p
	w.sent.Opens++
	if err := p.listen(w.filters.sets[a.Family]); err != nil {
		return p, fmt.Errorf("listen on %s: %w", a.Name, err)
	}
	if a.Family == lb.IPv6 {
		p.groups = w.succeed(p)
	}
	w.readers.Go(func() {
		if err := p.read(w.queries); err != nil {
			w.report(p, err)
		}
	})
	if p.groups != nil {
		w.readers.Go(func() {
			if err := p.groups.run(p.closed); err != nil {
				w.report(p, err)
			}
		})
	}
	return p, nil
}

// succeed makes the groups of a link, after those that were there before and may still be
// telling what they left.
func (w *Wire) succeed(p *port) *groups {
	before := w.lastGroups[p.link]
	if before != nil {
		before.hurry()
	}
	g := w.newGroups(p.ifi, before)
	w.lastGroups[p.link] = g
	return g
}

// attach tells groups what became of their links, and forgets those that have ended.
func (w *Wire) attach(links []lb.Link) {
	w.uplinks = make(map[int]uplink, len(links))
	for _, l := range links {
		w.uplinks[l.Index] = uplink{mac: l2.MAC(l.HardwareAddr), carrier: l.Carrier}
	}
	for link, g := range w.lastGroups {
		select {
		case <-g.ended:
			delete(w.lastGroups, link)
		default:
			g.attach(w.uplinks[link])
		}
	}
}

// report tells the loop that a port failed, unless the port is closed already.
func (w *Wire) report(p *port, err error) {
	select {
	case w.failures <- failure{p, err}:
	case <-p.closed:
	}
}

// fail hands a failed port to the machine, which closes it and opens it again later.
func (w *Wire) fail(f failure) {
	key := portKey{f.port.link, f.port.family}
	if w.ports[key] != f.port {
		return // closed meanwhile; the news is about an older socket
	}
	w.log.Warn("link failed", "link", f.port.ifi.Name, "family", f.port.family.String(), "reason", f.err)
	w.sent.Broken++
	w.do(w.machine.Failed(f.port.link, f.port.family, w.Now()))
}

// send executes a Send action. A frame that cannot leave is only counted, unless the error
// says that the socket has lost its interface.
func (w *Wire) send(p *port, a *l2.Action) (failure, bool) {
	frame, err := encode(a)
	if err == nil {
		err = p.write(frame)
	}
	if err == nil {
		w.sent.Frames++
		return failure{}, true
	}
	w.sent.Failed++
	w.log.Debug("cannot send", "addr", a.Addr, "link", a.Name, "reason", err)
	return failure{p, err}, !errors.Is(err, unix.ENXIO)
}

// closeAll ends every port and waits for its goroutines.
func (w *Wire) closeAll() {
	for key, p := range w.ports {
		p.close()
		delete(w.ports, key)
	}
	for _, g := range w.lastGroups {
		g.hurry()
	}
	w.readers.Wait()
}
