#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# venv.sh PYTHON DIR: make a virtual environment, or say in one line what is missing and how to get it.
# Debian splits venv and pip away from python3: as root with apt the missing package is installed, else named.
set -euo pipefail
python=$1
directory=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "setup: heaptide needs Python 3.11 or later; $python is $("$python" -V 2>&1). Try: make PYTHON=python3.12" >&2
    exit 1
}
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "setup: $python has no venv; installing $package" >&2
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >/dev/null
    else
        echo "setup: $python cannot make a virtual environment; install it first (Debian: sudo apt install $package)" >&2
        exit 1
    fi
fi
"$python" -m venv "$directory"
