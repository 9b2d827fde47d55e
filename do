#!/usr/bin/env bash
# The one entry point of this repository. `./do help` says what it can do.
# This file only finds (or, as root, installs) a Python >= 3.11; the verbs are in tools/verbs.py.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

suitable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
    local name
    for name in .venv/bin/python python3 python3.14 python3.13 python3.12 python3.11; do
        if suitable "$name"; then python=$name; return 0; fi
    done
    return 1
}

install_python() {
    echo "do: no Python >= 3.11 with venv found, installing one" >&2
    export DEBIAN_FRONTEND=noninteractive
    if command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-venv || true
        find_python || apt-get install -y -qq --no-install-recommends python3.11 python3.11-venv || true
    elif command -v dnf >/dev/null; then
        dnf install -y -q python3 || true
    fi
} </dev/null >&2

if ! find_python; then
    if [ "$(id -u)" -eq 0 ]; then install_python; fi
    if ! find_python; then
        echo "do: this needs Python 3.11 or newer with its venv module. Install it with one of" >&2
        echo "    sudo apt-get install python3 python3-venv      (Debian 12, Ubuntu 24.04 and newer)" >&2
        echo "    sudo apt-get install python3.11 python3.11-venv  (Ubuntu 22.04)" >&2
        echo "    sudo dnf install python3                       (Fedora)" >&2
        exit 1
    fi
fi

exec "$python" tools/verbs.py "$@"
