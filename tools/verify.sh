#!/bin/sh
# Copyright The Clarion Authors
# SPDX-License-Identifier: Apache-2.0
#
# Fails when generated files, go.mod or go.sum are not what generating them now gives.
set -eu
cd "$(dirname "$0")/.."

status=0
tools/generate.sh verify || status=1
for module in . lab tools test/chart; do
	if ! (cd "$module" && go mod tidy -diff); then
		echo "go.mod or go.sum of $module are not tidy: run 'go mod tidy' there and commit the result" >&2
		status=1
	fi
done
exit $status
