#!/usr/bin/env bash
# Copyright The Clarion Authors
# SPDX-License-Identifier: Apache-2.0
#
# binaries.sh VERSION OUT PLATFORM... : builds the static programs of a release, for each platform
# (linux/arm/v7) into a folder of its own (OUT/linux_arm_v7). The same source and the same Go give
# the same bytes: no paths, no times, no state of the repository and no settings of whoever builds
# are in them.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$1 out=$2
shift 2

# Whatever the environment or `go env -w` says; to win over the latter, a value must not be empty.
# The levels are the lowest, so that the programs run on every machine.
export GOFLAGS=-trimpath GOEXPERIMENT=none GOFIPS140=off GOWORK=off CGO_ENABLED=0
export GOAMD64=v1 GOARM64=v8.0 GOPPC64=power8

tools/gobgp.sh
# The Makefile says what the tag grpcnotrace is for.
programs=(./controller ./speaker ./kubectl-clarion)

for platform in "$@"; do
	IFS=/ read -r os arch variant <<<"$platform"
	build=("${programs[@]}")
	[ "$os" = linux ] || build=(./kubectl-clarion) # the plugin is for people's machines as well
	folder=$out/${platform//\//_}
	mkdir -p "$folder"
	echo "binaries: $platform" >&2
	GOOS=$os GOARCH=$arch GOARM=${variant#v} \
		go build -trimpath -modfile=bin/gobgp.mod -tags grpcnotrace -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$version" -o "$folder/" "${build[@]}"
done
