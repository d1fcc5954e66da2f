// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package frr

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestUpdatesTellWhenEachNeighbourCameFirst(t *testing.T) {
	u := &Updates{done: make(chan struct{})}
	const captured = `listening on eth0
1700000000.900000 IP 192.168.100.12.40001 > 192.168.100.1.179: tcp 60
1700000001.000123 IP 192.168.100.11.40000 > 192.168.100.1.179: tcp 60
1700000001.000456 IP 192.168.100.11.40000 > 192.168.100.1.179: tcp 60
1700000001.020000 IP 192.168.100.12.40001 > 192.168.100.1.179: tcp 60
IP
1700000001.030000 IP x > 192.168.100.1.179: tcp 60
1700000002.000001 IP 192.168.100.13.40000 > 192.168.100.1.179: tcp 60
`
	for line := range strings.Lines(captured) {
		if one, ok := parseUpdate(line); ok {
			u.seen = append(u.seen, one)
		}
	}
	got := u.Between(time.Unix(1700000001, 0), time.Unix(1700000002, 0))
	want := []time.Time{time.Unix(1700000001, 123_000), time.Unix(1700000001, 20_000_000)}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
