// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const page = "../../docs/upgrade-from-metallb.md"

// section is a heading of the page with the commands below it.
type section struct{ heading, commands string }

// sections returns those that have commands: blocks of language sh.
func sections(t *testing.T) []section {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var out []section
	heading, inside := "", false
	for line := range strings.Lines(string(text)) {
		switch trimmed := strings.TrimSpace(line); {
		case trimmed == "```sh":
			inside = true
			out = append(out, section{heading: heading})
		case strings.HasPrefix(trimmed, "```"):
			inside = false
		case inside:
			out[len(out)-1].commands += line
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimSpace(strings.TrimLeft(line, "#"))
		}
	}
	return out
}

// The headings with commands, in the order of the page. A new one needs a test, or another language
// than sh.
const (
	before         = "Before you begin"
	webhooks       = "Take the API server off MetalLB's webhooks"
	passwords      = "Name the passwords of BGP peers"
	stop           = "Stop its controller"
	install        = "Install everything but the speakers"
	replace        = "Replace the speakers"
	cleanUp        = "Remove what is left of it"
	removeFRR      = "Remove frr-k8s"
	keepValues     = "Keep its values"
	passwordsChart = "Name the passwords of BGP peers (chart)"
	stopChart      = "Stop its controller (chart)"
	replaceChart   = "Replace the speakers (chart)"
	check          = "Check"
	back           = "Going back"
)

func TestEveryCommandOfThePageIsRun(t *testing.T) {
	known := map[string]bool{
		before: true, webhooks: true, stop: true, install: true, replace: true, cleanUp: true,
		removeFRR: true, passwords: true, passwordsChart: true,
		keepValues: true, stopChart: true, replaceChart: true, check: true, back: true,
	}
	seen := map[string]bool{}
	for _, s := range sections(t) {
		if !known[s.heading] || seen[s.heading] {
			t.Errorf("%s: the commands of %q are not run by a test, or there are two blocks of them", page, s.heading)
		}
		seen[s.heading] = true
	}
	for heading := range known {
		if !seen[heading] {
			t.Errorf("%s: no commands under %q", page, heading)
		}
	}
}

// do runs the commands under a heading in a shell, as a reader would.
func (c *cluster) do(t *testing.T, heading string) error {
	t.Helper()
	for _, s := range sections(t) {
		if s.heading == heading {
			out, err := c.shell(t, s.commands)
			t.Logf("%s:\n%s", heading, out)
			return err
		}
	}
	t.Fatalf("%s: no commands under %q", page, heading)
	return nil
}

func (c *cluster) must(t *testing.T, heading string) {
	t.Helper()
	if err := c.do(t, heading); err != nil {
		t.Fatalf("%s: %v", heading, err)
	}
}

func (c *cluster) shell(t *testing.T, commands string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euxo", "pipefail", "-c", commands)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+c.kubeconfig, "PATH="+c.dir+string(filepath.ListSeparator)+os.Getenv("PATH"), "HOME="+c.dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
