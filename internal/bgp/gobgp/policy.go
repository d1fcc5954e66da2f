// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"fmt"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"
)

// ownRoutes is the name of the only import policy, and of its only statement.
const ownRoutes = "own routes"

// importOwn lets only our own routes into the table from which the engine chooses paths. What the
// peer sends is used by nobody; chosen from, it would cost twice the memory and many times the
// work.
func importOwn(srv *server.BgpServer) error {
	ctx := context.Background()
	own := &api.Policy{Name: ownRoutes, Statements: []*api.Statement{{
		Name:       ownRoutes,
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ACCEPT},
	}}}
	if err := srv.AddPolicy(ctx, &api.AddPolicyRequest{Policy: own}); err != nil {
		return fmt.Errorf("add import policy: %w", err)
	}
	if err := srv.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Name: "global", Direction: api.PolicyDirection_IMPORT, Policies: []*api.Policy{own}, DefaultAction: api.RouteAction_REJECT,
	}}); err != nil {
		return fmt.Errorf("assign import policy: %w", err)
	}
	return nil
}
