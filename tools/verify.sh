#!/bin/sh
# Copyright The Clarion Authors
# SPDX-License-Identifier: Apache-2.0
#
# verify.sh PLATFORMS=PROGRAMS... : fails when generated files, go.mod or go.sum are not what
# generating them now gives, or when a module that is linked has no licence that is allowed.
set -eu
cd "$(dirname "$0")/.."

status=0
tools/generate.sh verify || status=1
for module in . lab tools test/chart test/dns; do
	if ! (cd "$module" && go mod tidy -diff); then
		echo "go.mod or go.sum of $module are not tidy: run 'go mod tidy' there and commit the result" >&2
		status=1
	fi
done
mkdir -p bin
(cd tools && go build -o ../bin/ ./licenses)
bin/licenses "$@" || status=1
# A release is built for 32 bits, too, where an int is smaller.
GOOS=linux GOARCH=arm GOARM=7 CGO_ENABLED=0 go vet ./controller ./speaker ./kubectl-clarion ./internal/... || status=1
tools/binaries_test.sh || status=1
exit $status
