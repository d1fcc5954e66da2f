#!/usr/bin/env bash
# Copyright The Clarion Authors
# SPDX-License-Identifier: Apache-2.0
#
# Fails when the programs of a release depend on the folder they are built in or on the settings of
# whoever builds them.
set -euo pipefail
cd "$(dirname "$0")/.."

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/another/place"
cp -r go.mod go.sum tools api controller speaker kubectl-clarion internal "$tmp/another/place/"

platform=linux/$(go env GOARCH)
tools/binaries.sh v0 "$tmp/here" "$platform"
(cd "$tmp/another/place" && GOAMD64=v3 GOARM64=v8.2 GOPPC64=power9 GOFLAGS=-tags=netgo,osusergo GOFIPS140=latest \
	tools/binaries.sh v0 "$tmp/there" "$platform")
if ! diff -r "$tmp/here" "$tmp/there" >&2; then
	echo "tools/binaries.sh gives other bytes in another folder or with other settings of Go" >&2
	exit 1
fi
