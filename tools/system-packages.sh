#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# system-packages.sh LIST: install the Debian packages of LIST that are missing, as root with apt; elsewhere only name
# them. Never fails: a test that needs one that cannot be had is skipped and says so.
set -uo pipefail
command -v dpkg-query >/dev/null || exit 0

missing=()
while read -r package _; do
    case $package in '' | '#'*) continue ;; esac
    status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)
    [ "${status:0:2}" = ii ] || missing+=("$package")
done <"$1"
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "tests: not installed, so their tests will be skipped (sudo apt install ${missing[*]})" >&2
    exit 0
fi
echo "tests: installing ${missing[*]}" >&2
apt-get update -qq
for package in "${missing[@]}"; do # one by one: a package that is not to be had must not keep the others away
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
        echo "tests: $package cannot be installed; its tests will be skipped" >&2
done
exit 0
