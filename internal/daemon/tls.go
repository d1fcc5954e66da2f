// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// TLS is how metrics are served: the flags of MetalLB's, and one for those who want them in
// clear text.
type TLS struct {
	MinVersion, CipherSuites, Curves string
	CertDir                          string
	Off                              bool
}

func (t *TLS) define(f *Flags) {
	f.StringVar(&t.MinVersion, "tls-min-version", "VersionTLS13", "lowest version of TLS for metrics: VersionTLS12 or VersionTLS13")
	f.StringVar(&t.CipherSuites, "tls-cipher-suites", "", "comma-separated cipher suites for TLS 1.2, by name; empty: Go's choice")
	f.StringVar(&t.Curves, "tls-curve-preferences", "", "comma-separated key exchange mechanisms by their TLS number, such as 29 for X25519; empty: Go's choice")
	f.StringVar(&t.CertDir, "metrics-cert-dir", "", "folder with tls.crt and tls.key for metrics, read again when they change; empty: a certificate signed by itself")
	f.BoolVar(&t.Off, "metrics-plain-http", false, "serve metrics in clear text and to everybody who asks")
}

// Config returns the configuration of the server, or nil for clear text.
func (t TLS) Config(host string) (*tls.Config, error) {
	if t.Off {
		return nil, nil // as net/http takes it
	}
	version, err := parseVersion(t.MinVersion)
	if err != nil {
		return nil, err
	}
	suites, err := parseSuites(t.CipherSuites)
	if err != nil {
		return nil, err
	}
	if len(suites) > 0 && version == tls.VersionTLS13 {
		return nil, errors.New("--tls-cipher-suites: those of TLS 1.3 cannot be chosen; set --tls-min-version=VersionTLS12 or leave them out")
	}
	curves, err := parseCurves(t.Curves)
	if err != nil {
		return nil, err
	}
	cert, err := t.certificate(host)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: version, CipherSuites: suites, CurvePreferences: curves,
		NextProtos:     []string{"http/1.1"}, // one page for one scraper; HTTP/2 only adds ways to attack
		GetCertificate: cert,
	}, nil
}

func (t TLS) certificate(host string) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	if t.CertDir == "" {
		own := &ownCertificate{host: host, now: time.Now}
		_, err := own.get(nil)
		return own.get, err
	}
	files := &fileCertificate{dir: t.CertDir, now: time.Now}
	_, err := files.get(nil)
	return files.get, err
}

func parseVersion(name string) (uint16, error) {
	switch name {
	case "VersionTLS12":
		return tls.VersionTLS12, nil
	case "VersionTLS13":
		return tls.VersionTLS13, nil
	default:
		return 0, fmt.Errorf("--tls-min-version %q is neither VersionTLS12 nor VersionTLS13", name)
	}
}

func parseSuites(list string) ([]uint16, error) {
	known := map[string]uint16{}
	for _, s := range tls.CipherSuites() { // without the insecure ones
		known[s.Name] = s.ID
	}
	var ids []uint16
	for _, name := range split(list) {
		id, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("--tls-cipher-suites: %q is unknown or insecure", name)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func parseCurves(list string) ([]tls.CurveID, error) {
	var ids []tls.CurveID
	for _, s := range split(list) {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil || strings.HasPrefix(tls.CurveID(n).String(), "CurveID(") {
			return nil, fmt.Errorf("--tls-curve-preferences: %q is not the number of a mechanism that Go has", s)
		}
		ids = append(ids, tls.CurveID(n))
	}
	return ids, nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}
