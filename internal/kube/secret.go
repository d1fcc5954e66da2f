// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// memberlistKeyField is the key in the Secret; the manifests mount the Secret as a folder.
const memberlistKeyField = "secretkey"

// EnsureMemberlistSecret creates the Secret with which the speakers encrypt their
// membership traffic, unless it exists. The Deployment owns it, as MetalLB's does, so that
// deleting the installation deletes the key; with no deployment name it has no owner.
// The key is 128 random bits in unpadded base64, the form MetalLB's speakers expect.
func EnsureMemberlistSecret(ctx context.Context, client kubernetes.Interface, namespace, name, deployment string) error {
	_, err := client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("read secret %s/%s: %w", namespace, name, err)
	}
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("generate memberlist key: %w", err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Data:       map[string][]byte{memberlistKeyField: []byte(base64.RawStdEncoding.EncodeToString(key))},
	}
	if deployment != "" {
		d, err := client.AppsV1().Deployments(namespace).Get(ctx, deployment, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("read deployment %s/%s, owner of secret %s: %w", namespace, deployment, name, err)
		}
		secret.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "Deployment", Name: d.Name, UID: d.UID,
		}}
	}
	_, err = client.CoreV1().Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) { // another replica was faster
		return fmt.Errorf("create secret %s/%s: %w", namespace, name, err)
	}
	return nil
}
