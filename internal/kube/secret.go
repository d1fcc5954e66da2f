// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// memberlistKeyField is the key in the Secret; the manifests mount the Secret as a folder.
const memberlistKeyField = "secretkey"

// MemberlistSecret is the Secret with which the speakers encrypt their membership traffic. The
// Deployment owns it, as MetalLB's does, so that deleting the installation deletes the key; with
// no deployment name it has no owner. The key is 128 random bits in unpadded base64, the form
// MetalLB's speakers expect.
type MemberlistSecret struct {
	Log        *slog.Logger
	Client     kubernetes.Interface
	Namespace  string
	Name       string
	Deployment string
}

// Run creates the Secret, unless it exists, as soon as that is possible. It returns when ctx ends.
func (m MemberlistSecret) Run(ctx context.Context) error {
	return persist(ctx, m.ensure, func(err error) {
		m.Log.Error("create memberlist secret; the speakers wait for it", "error", err)
	})
}

func (m MemberlistSecret) ensure(ctx context.Context) error {
	secrets := m.Client.CoreV1().Secrets(m.Namespace)
	_, err := secrets.Get(ctx, m.Name, metav1.GetOptions{})
	if err == nil {
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("read secret %s/%s: %w", m.Namespace, m.Name, err)
	}
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("generate memberlist key: %w", err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name},
		Data:       map[string][]byte{memberlistKeyField: []byte(base64.RawStdEncoding.EncodeToString(key))},
	}
	if m.Deployment != "" {
		d, err := m.Client.AppsV1().Deployments(m.Namespace).Get(ctx, m.Deployment, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("read deployment %s/%s, owner of secret %s: %w", m.Namespace, m.Deployment, m.Name, err)
		}
		secret.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "Deployment", Name: d.Name, UID: d.UID,
		}}
	}
	_, err = secrets.Create(ctx, secret, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) { // another replica was faster
		return fmt.Errorf("create secret %s/%s: %w", m.Namespace, m.Name, err)
	}
	return nil
}
