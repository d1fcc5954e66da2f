#!/bin/sh
# Copyright The Clarion Authors
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that the lab, the demo and the tests use, those that are
# missing only. debian-packages.txt here and in test/ list them, one a line, "package # why".
set -eu
cd "$(dirname "$0")"

missing=
while IFS= read -r line; do
	package=$(printf '%s' "${line%%#*}" | tr -d ' \t')
	[ -n "$package" ] || continue
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done <<EOF
$(cat debian-packages.txt ../test/debian-packages.txt)
EOF

[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
	echo "missing programs of the Debian packages$missing; install them, then try again" >&2
	exit 1
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words on purpose
apt-get install -y -qq --no-install-recommends $missing >/dev/null
