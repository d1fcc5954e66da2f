#!/bin/sh
# Copyright The Clarion Authors
# SPDX-License-Identifier: Apache-2.0
#
# Runs the linters of .golangci.yml over the modules that ship or test anything.
set -eu
cd "$(dirname "$0")/.."
root=$PWD

mkdir -p bin
if [ ! -x bin/golangci-lint ] || [ tools/go.mod -nt bin/golangci-lint ]; then
	echo "building golangci-lint (about a minute the first time)" >&2
	(cd tools && go build -o "$root/bin/golangci-lint" github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
	touch bin/golangci-lint
fi

status=0
lint() { # module packages
	echo "golangci-lint in $1" >&2
	(cd "$1" && "$root/bin/golangci-lint" run --timeout 10m "$2") || status=1
}
lint . ./...
lint tools ./...
lint test/chart ./...
lint test/dns ./...
# Without its main package, which links all of Kubernetes: minutes of type checking for 200 lines.
lint lab ./internal/...
exit $status
