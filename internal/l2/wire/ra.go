// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
)

const (
	// Until a router has been heard, it is asked for and told of us this often; afterwards
	// advertisements go out as seldom as routers send theirs in this use.
	raSearch = 500 * time.Millisecond
	raKeep   = 10 * time.Second
)

func allNodes() netip.Addr   { return netip.MustParseAddr("ff02::1") }
func allRouters() netip.Addr { return netip.MustParseAddr("ff02::2") }

// Routers makes this host known on a link, and calls found with the link-local address, without
// zone, of each router that advertises itself there: that is how unnumbered BGP neighbours find
// each other. Our own advertisements have a lifetime of 0, so that nobody takes us for a default
// router (RFC 4861 6.2.3). It returns nil when ctx ends, and an error when the link is unusable.
func Routers(ctx context.Context, link string, found func(netip.Addr)) error {
	ifi, err := net.InterfaceByName(link)
	if err != nil {
		return fmt.Errorf("find link %s: %w", link, err)
	}
	conn, _, err := ndp.Listen(ifi, ndp.LinkLocal)
	if err != nil {
		return fmt.Errorf("listen for routers on %s: %w", link, err)
	}
	defer conn.Close()
	if err := prepareRouters(conn); err != nil {
		return fmt.Errorf("listen for routers on %s: %w", link, err)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	known := false
	next := time.Now()
	for ctx.Err() == nil {
		if now := time.Now(); !now.Before(next) {
			if err := advertise(conn, ifi, !known); err != nil {
				return fmt.Errorf("advertise on %s: %w", link, err)
			}
			next = now.Add(raSearch)
			if known {
				next = now.Add(raKeep)
			}
			if err := conn.SetReadDeadline(next); err != nil {
				return fmt.Errorf("listen for routers on %s: %w", link, err)
			}
		}
		msg, cm, from, err := conn.ReadFrom()
		if err != nil {
			if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
				continue
			}
			return fmt.Errorf("listen for routers on %s: %w", link, err)
		}
		// RFC 4861 6.1.2: only from a neighbour, which the hop limit proves.
		if _, ok := msg.(*ndp.RouterAdvertisement); ok && cm != nil && cm.HopLimit == ndp.HopLimit && from.IsLinkLocalUnicast() {
			known = true
			found(from.WithZone(""))
		}
	}
	return nil
}

// prepareRouters lets the socket hear advertisements only, with their hop limit.
func prepareRouters(conn *ndp.Conn) error {
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	if err := conn.SetICMPFilter(&filter); err != nil {
		return err
	}
	if err := conn.SetControlMessage(ipv6.FlagHopLimit, true); err != nil {
		return err
	}
	return conn.JoinGroup(allNodes())
}

// advertise sends a router advertisement, and asks for those of others.
func advertise(conn *ndp.Conn, ifi *net.Interface, solicit bool) error {
	source := []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: ifi.HardwareAddr}}
	if err := conn.WriteTo(&ndp.RouterAdvertisement{Options: source}, nil, allNodes()); err != nil {
		return err
	}
	if !solicit {
		return nil
	}
	return conn.WriteTo(&ndp.RouterSolicitation{Options: source}, nil, allRouters())
}
