// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A certificate that nobody can check is still good for hiding bearer tokens from listeners.
const (
	ownLifetime = 365 * 24 * time.Hour
	ownRenewal  = ownLifetime / 3 // what is left when the next is made
)

// ownCertificate is signed by itself, kept in memory, and replaced before it expires.
type ownCertificate struct {
	host string // name or address that it is for
	now  func() time.Time

	mu   sync.Mutex
	cert *tls.Certificate
}

func (o *ownCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.now()
	if o.cert != nil && now.Before(o.cert.Leaf.NotAfter.Add(-ownRenewal)) {
		return o.cert, nil
	}
	cert, err := selfSigned(o.host, now)
	if err != nil {
		return nil, fmt.Errorf("make certificate for metrics: %w", err)
	}
	o.cert = cert
	return cert, nil
}

func selfSigned(host string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "clarion metrics"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(ownLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, DNSNames: []string{"localhost"},
	}
	if ip := net.ParseIP(host); ip != nil {
		leaf.IPAddresses = []net.IP{ip}
	} else if host != "" {
		leaf.DNSNames = append(leaf.DNSNames, host)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if leaf, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

// filesEvery is how often the files of a certificate are looked at, at most.
const filesEvery = 10 * time.Second

// fileCertificate reads tls.crt and tls.key of a folder, such as a mounted Secret, and again
// when they have changed. While what is there cannot be used, the last good one is.
type fileCertificate struct {
	dir string
	now func() time.Time

	mu     sync.Mutex
	looked time.Time
	cert   *tls.Certificate
}

func (f *fileCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if f.cert != nil && now.Sub(f.looked) < filesEvery {
		return f.cert, nil
	}
	f.looked = now
	cert, err := readPair(f.dir)
	if err != nil && f.cert == nil {
		return nil, err
	}
	if err == nil {
		f.cert = cert
	}
	return f.cert, nil
}

func readPair(dir string) (*tls.Certificate, error) {
	certPEM, err := os.ReadFile(filepath.Join(dir, "tls.crt")) //nolint:gosec // the folder is the operator's
	if err != nil {
		return nil, fmt.Errorf("read certificate for metrics: %w", err)
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, "tls.key")) //nolint:gosec // the folder is the operator's
	if err != nil {
		return nil, fmt.Errorf("read key for metrics: %w", err)
	}
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("read certificate for metrics from %s: %w", dir, err)
	}
	return &cert, nil
}
