#!/bin/sh
# Copyright The Clarion Authors
# SPDX-License-Identifier: Apache-2.0
#
# build.sh OUTPUT: builds the lab program and shows progress. The first build
# compiles some 3,000 packages of Kubernetes and etcd and takes minutes; with a
# warm Go build cache it takes seconds.
set -eu

out=${1:-../bin/lab}
case $out in /*) ;; *) out=$(pwd)/$out ;; esac
cd "$(dirname "$0")"
export CGO_ENABLED=0

kube=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
ver=k8s.io/component-base/version
flags="-s -w -X $ver.gitVersion=$kube -X $ver.gitMajor=1 -X $ver.gitMinor=$(echo "$kube" | cut -d. -f2)"
total=$(go list -deps . | wc -l)

mkdir -p "$(dirname "$out")"
status=$(mktemp)
trap 'rm -f "$status"' EXIT

# go build -v names each package it compiles (cached ones are not named);
# everything else it prints is a message for the reader.
{ go build -v -trimpath -ldflags "$flags" -o "$out.new" . 2>&1 || echo failed >"$status"; } |
	awk -v total="$total" '
		function say() { printf "lab: compiled %d packages (at most %d) in %ds\n", n, total, systime() - t0; fflush() }
		BEGIN { t0 = systime(); last = t0 }
		/^[a-z0-9.-]+(\/[A-Za-z0-9._~-]+)*$/ { n++; if (systime() - last >= 5) { last = systime(); say() } next }
		{ print; fflush() }
		END { say() }'

if [ -s "$status" ]; then
	echo "lab: build failed, see above" >&2
	exit 1
fi
# A rename, because a running lab executes the old file.
mv "$out.new" "$out"
ls -l "$out" | awk '{ printf "lab: built %s (%d MB)\n", $NF, $5 / 1e6 }'
