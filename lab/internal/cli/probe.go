// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import "github.com/spf13/cobra"

func (a *app) probe() *cobra.Command { return &cobra.Command{Use: "probe"} }
func (a *app) neigh() *cobra.Command { return &cobra.Command{Use: "neigh"} }
