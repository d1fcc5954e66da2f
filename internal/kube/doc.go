// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package kube is the edge towards the Kubernetes API: it keeps stripped local
// copies of the objects the two programs read, writes Service status, pool
// status, status objects and events, and holds the leader Lease. It decides
// nothing about addresses or owners; what to write is handed to it.
//
// Reads come from client-go reflectors, which write to the stores here without the
// queues of an informer; Services are stored packed. Writes go through the generated
// clients, with protobuf for the built-in types and no client-side rate limit: the
// API server's priority and fairness says how fast is too fast, and client-go
// honours its Retry-After.
package kube
