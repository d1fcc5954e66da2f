// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestMetricsAreForThoseWhoMayReadThem(t *testing.T) {
	review := func(_ context.Context, token, path string) (string, bool, error) {
		if path != "/metrics" {
			t.Errorf("asked about %s", path)
		}
		switch token {
		case "scraper":
			return "prometheus", true, nil
		case "guest":
			return "guest", false, nil
		case "outage":
			return "", false, errors.New("no API server")
		}
		return "", false, nil
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1")) })
	h := guard(slog.New(slog.DiscardHandler), review, page)
	for header, want := range map[string]int{
		"":                http.StatusUnauthorized,
		"Basic c2NyYXBl":  http.StatusUnauthorized,
		"Bearer ":         http.StatusUnauthorized,
		"Bearer stranger": http.StatusUnauthorized,
		"Bearer guest":    http.StatusForbidden,
		"Bearer outage":   http.StatusServiceUnavailable,
		"Bearer scraper":  http.StatusOK,
		"bearer scraper":  http.StatusOK,
	} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Authorization", header)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want || (strings.Contains(w.Body.String(), "up 1") != (want == http.StatusOK)) {
			t.Errorf("%q: %d %s", header, w.Code, w.Body)
		}
	}
}

func TestTLSFlags(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"defaults", "", ""},
		{"suites of TLS 1.2", "--tls-min-version=VersionTLS12 --tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", ""},
		{"key exchange by number", "--tls-curve-preferences=4588,29,23", ""},
		{"suites with TLS 1.3", "--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "cannot be chosen"},
		{"insecure suite", "--tls-min-version=VersionTLS12 --tls-cipher-suites=TLS_RSA_WITH_RC4_128_SHA", "unknown or insecure"},
		{"old version", "--tls-min-version=VersionTLS11", "neither"},
		{"unknown mechanism", "--tls-curve-preferences=7", "not the number"},
		{"missing files", "--metrics-cert-dir=/nonexistent", "read certificate"},
		{"clear text", "--metrics-plain-http", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var o Options
			f := NewFlags("test", func(string) string { return "" })
			o.Define(f)
			if _, err := o.Parse(f, append(strings.Fields(c.args), "--namespace=x")); err != nil {
				t.Fatal(err)
			}
			config, err := o.MetricsTLS.Config("10.0.0.1")
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if c.want == "" && (config == nil) != (c.name == "clear text") {
				t.Errorf("got %+v", config)
			}
		})
	}
}

func TestOwnCertificateIsReplacedBeforeItExpires(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	own := &ownCertificate{host: "10.0.0.1", now: func() time.Time { return now }}
	get := func() *tls.Certificate {
		c, err := own.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Leaf.VerifyHostname("10.0.0.1"); err != nil || now.After(c.Leaf.NotAfter) {
			t.Errorf("valid for %v until %s (%v)", c.Leaf.IPAddresses, c.Leaf.NotAfter, err)
		}
		return c
	}
	first := get()
	if get() != first {
		t.Error("a new certificate for each caller")
	}
	now = now.Add(ownLifetime - ownRenewal + time.Hour)
	if get() == first {
		t.Error("not replaced in time")
	}
}

func TestCertificateFilesAreReadAgain(t *testing.T) {
	dir, now := t.TempDir(), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	write := func(host string) {
		c, err := selfSigned(host, now)
		if err != nil {
			t.Fatal(err)
		}
		key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		for name, block := range map[string]*pem.Block{
			"tls.crt": {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, "tls.key": {Type: "PRIVATE KEY", Bytes: key},
		} {
			if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	files := &fileCertificate{dir: dir, now: func() time.Time { return now }}
	check := func(host string) {
		t.Helper()
		c, err := files.get(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	write("one.example")
	check("one.example")
	write("two.example")
	now = now.Add(filesEvery)
	check("two.example")
	if err := os.WriteFile(filepath.Join(dir, "tls.crt"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	now = now.Add(filesEvery)
	check("two.example") // the last good one
}
