// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// scraper makes an account that may read metrics, in a namespace that goes with the test, and
// returns a token of its own. What gives the permission is what docs/security.md tells users.
func scraper(t *testing.T, ns string) string {
	t.Helper()
	role := "metrics-of-" + ns
	kubectl(t, "-n", ns, "create", "serviceaccount", "scraper")
	kubectl(t, "create", "clusterrole", role, "--verb=get", "--non-resource-url=/metrics")
	t.Cleanup(func() { kubectl(t, "delete", "clusterrole", role) })
	kubectl(t, "create", "clusterrolebinding", role, "--clusterrole="+role, "--serviceaccount="+ns+":scraper")
	t.Cleanup(func() { kubectl(t, "delete", "clusterrolebinding", role) })
	return token(t, ns, "scraper")
}

func token(t *testing.T, ns, account string) string {
	t.Helper()
	return strings.TrimSpace(kubectl(t, "-n", ns, "create", "token", account))
}

// scrape asks for metrics over TLS and returns the code of the answer and the page.
func scrape(ctx context.Context, addr, token string) (code, page string, err error) {
	args := []string{"curl", "-sk", "-m", "5", "-w", "\n%{http_code}", "https://" + addr + ":9120/metrics"}
	if token != "" {
		args = append(args, "-H", "Authorization: Bearer "+token)
	}
	out, err := lab.Exec(ctx, "n1", args...)
	at := strings.LastIndex(out, "\n")
	if err != nil || at < 0 {
		return "", "", fmt.Errorf("scrape %s: %q: %w", addr, out, err)
	}
	return out[at+1:], out[:at], nil
}

// podIPs returns the addresses of the Pods of a component.
func podIPs(ctx context.Context, component string) ([]string, error) {
	out, err := lab.Kubectl(ctx, "-n", "metallb-system", "get", "pods", "-l", "component="+component, "-o", "jsonpath={.items[*].status.podIP}")
	return strings.Fields(out), err
}

// TestMetricsAreForWhomRBACLetsReadThem asks both programs for their metrics over TLS: without
// a token, with one that the API server does not know, with one without the permission and
// with one that has it. In clear text there is no answer.
func TestMetricsAreForWhomRBACLetsReadThem(t *testing.T) {
	ns := namespace(t)
	reader, guest := scraper(t, ns), token(t, ns, "default")
	const metric = "metallb_k8s_client_config_loaded_bool"
	for _, component := range []string{"controller", "speaker"} {
		ips, err := podIPs(t.Context(), component)
		if err != nil || len(ips) == 0 {
			t.Fatalf("no %s: %v", component, err)
		}
		for _, c := range []struct{ token, code string }{{"", "401"}, {"made.up.token", "401"}, {guest, "403"}, {reader, "200"}} {
			code, page, err := scrape(t.Context(), ips[0], c.token)
			if err != nil || code != c.code || (code == "200") != strings.Contains(page, metric) {
				t.Errorf("%s answers %s instead of %s (%v): %.200s", component, code, c.code, err, page)
			}
		}
		if page, err := get(t.Context(), "n1", ips[0]+":9120/metrics"); err == nil && strings.Contains(page, metric) {
			t.Errorf("%s shows its metrics in clear text", component)
		}
	}
}

// TestEveryProgramHasLoadedItsConfiguration: the alert MetalLBConfigNotLoaded fires for each Pod that
// says otherwise for a minute, and a controller that stands by is no reason for one. Only the
// leader has figures of pools, or those of two would stand side by side.
func TestEveryProgramHasLoadedItsConfiguration(t *testing.T) {
	ns := namespace(t)
	reader := scraper(t, ns)
	for component, least := range map[string]int{"controller": 2, "speaker": 3} {
		eventually(t, func(ctx context.Context) error {
			ips, err := podIPs(ctx, component)
			if err != nil {
				return err
			}
			if len(ips) < least {
				return fmt.Errorf("the %ss are at %v, want %d", component, ips, least)
			}
			leaders := 0
			for _, ip := range ips {
				code, page, err := scrape(ctx, ip, reader)
				if err != nil {
					return err
				}
				if code != "200" || !strings.Contains(page, "\nmetallb_k8s_client_config_loaded_bool 1\n") {
					return fmt.Errorf("%s at %s has not loaded its configuration: status %s", component, ip, code)
				}
				if strings.Contains(page, "\nclarion_config_problems{") {
					leaders++
				}
			}
			if component == "controller" && leaders != 1 {
				return fmt.Errorf("%d of %d controllers tell what only the leader knows", leaders, len(ips))
			}
			return nil
		})
	}
}
