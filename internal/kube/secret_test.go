// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// runSecret lets MemberlistSecret work for a while and returns the Secret and what was logged.
func runSecret(t *testing.T, client *fake.Clientset) (*corev1.Secret, string) {
	t.Helper()
	var logged bytes.Buffer
	m := MemberlistSecret{
		Log: slog.New(slog.NewTextHandler(&logged, nil)), Client: client,
		Namespace: "metallb-system", Name: "memberlist", Deployment: "controller",
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := m.Run(ctx); err != nil || ctx.Err() == nil {
		t.Errorf("Run = %v before its context ended", err)
	}
	got, err := client.CoreV1().Secrets(m.Namespace).Get(t.Context(), m.Name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got, logged.String()
}

// The API server may be away when a controller starts: it goes on trying, and says so once.
func TestMemberlistSecretIsCreatedOnceTheAPIServerAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "metallb-system", Name: "controller", UID: "u1"}})
		failures := 3
		client.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
			failures--
			return failures >= 0, nil, errors.New("connection refused")
		})
		got, logged := runSecret(t, client)
		if key, err := base64.RawStdEncoding.DecodeString(string(got.Data["secretkey"])); err != nil || len(key) != 16 {
			t.Errorf("key %q, %v: want 16 bytes in unpadded base64", got.Data["secretkey"], err)
		}
		if o := got.OwnerReferences; len(o) != 1 || o[0].Kind != "Deployment" || o[0].UID != "u1" {
			t.Errorf("owners %v, want the Deployment", o)
		}
		if strings.Count(logged, "connection refused") != 1 {
			t.Errorf("logged %q, want the failure once", logged)
		}
	})
}

func TestMemberlistSecretThatExistsIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: "metallb-system", Name: "memberlist"}, Data: map[string][]byte{"secretkey": []byte("theirs")},
		})
		if got, logged := runSecret(t, client); string(got.Data["secretkey"]) != "theirs" || logged != "" {
			t.Errorf("key %q, logged %q", got.Data["secretkey"], logged)
		}
	})
}
