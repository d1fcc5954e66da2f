// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Package daemon is what the two long-running programs have in common around their loop:
// the logger, flags that can also be set by environment, the health and metrics endpoints,
// and running goroutines as one group that stops together. It knows nothing of load balancing.
package daemon
