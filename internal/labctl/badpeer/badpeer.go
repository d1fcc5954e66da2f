// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package badpeer runs BGP neighbours that misbehave, each in its own way on its own TCP port, for
// tests that prove that nobody else is disturbed by them.
package badpeer

import (
	"fmt"
	"os/exec"
	"syscall"
)

// ASN is the AS number that those that send an OPEN say to have.
const ASN = 64513

// The ports, and what happens there.
const (
	Closed    = 1000 // nobody listens
	Silent    = 1001 // accepts connections and says nothing
	Garbage   = 1002 // sends an OPEN that is 4,000 random bytes
	OpenOnly  = 1003 // sends an OPEN and hangs up
	HangsUp   = 1004 // hangs up at once
	BadLength = 1005 // sends a message that is shorter than its header
	Flapping  = 1006 // sends OPEN and KEEPALIVE: a session that ends again and again
	Filtered  = 1007 // does not even refuse
	BadType   = 1008 // sends a message of a type that does not exist
)

// Ports are all of them.
func Ports() []int {
	return []int{Closed, Silent, Garbage, OpenOnly, HangsUp, BadLength, Flapping, Filtered, BadType}
}

// marker begins every message (RFC 4271 4.1). open is an OPEN from ASN with a hold time of 90 s;
// keepalive is a KEEPALIVE.
const (
	marker    = `\377\377\377\377` + `\377\377\377\377` + `\377\377\377\377` + `\377\377\377\377`
	open      = marker + `\000\035\001\004\374\001\000\132\300\000\002\102\000`
	keepalive = marker + `\000\023\004`
)

// answers are shell scripts, by port, whose output is what a connection gets.
func answers() map[int]string {
	return map[int]string{
		Silent:    "sleep 1000",
		Garbage:   "printf '" + marker + `\017\263\001'; head -c 4000 /dev/urandom; sleep 1`,
		OpenOnly:  "printf '" + open + "'; sleep 0.2",
		HangsUp:   "true",
		BadLength: "printf '" + marker + `\000\002\001'; sleep 1`,
		BadType:   "printf '" + marker + `\000\023\011'; sleep 1`,
		Flapping:  "printf '" + open + keepalive + "'; sleep 0.3",
	}
}

// serve answers every connection to a port with the output of a script.
const serve = `$s=IO::Socket::INET->new(LocalPort=>%d,Listen=>9,ReuseAddr=>1) or die;` +
	`while($c=$s->accept){ if(!fork){ open(STDOUT,">&",$c); exec("sh","-c",q(%s)) } close $c; waitpid(-1,1) }`

// filter drops what comes to Filtered.
const filter = "table ip badpeer { chain in { type filter hook input priority 0; tcp dport %d drop; }; }"

// Start runs all of them in a network namespace until stop is called.
func Start(netns string) (stop func(), err error) {
	var running []*exec.Cmd
	in := func(args ...string) *exec.Cmd {
		return exec.Command("ip", append([]string{"netns", "exec", netns}, args...)...) //nolint:gosec // programs and namespaces of the tests
	}
	stop = func() {
		for _, c := range running {
			_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // with what it has forked; it may have ended
			_ = c.Wait()                                      // killed
		}
		_ = in("nft", "delete", "table", "ip", "badpeer").Run() // the namespace may be gone
	}
	if out, err := in("nft", fmt.Sprintf(filter, Filtered)).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("filter a port: %w: %s", err, out)
	}
	for port, script := range answers() {
		c := in("perl", "-MIO::Socket::INET", "-e", fmt.Sprintf(serve, port, script))
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := c.Start(); err != nil {
			stop()
			return nil, fmt.Errorf("start the peer on port %d: %w", port, err)
		}
		running = append(running, c)
	}
	return stop, nil
}
