#!/usr/bin/env bash
# Makes the virtual environment: scripts/venv.sh FOLDER [PYTHON]
# Takes PYTHON, or the first python3 on the path that is new enough. On Debian as root, brings what it lacks.
set -euo pipefail
folder=$1
wanted=${2:-}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

python=
for candidate in ${wanted:-python3 python3.13 python3.12 python3.11}; do
  if command -v "$candidate" >/dev/null && new_enough "$candidate"; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "seglake needs Python 3.11 or newer${wanted:+, and $wanted is not}." >&2
  echo "Install it, or name one: make PYTHON=/path/to/python3 ..." >&2
  exit 1
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Debian's python3-venv ..." >&2
    apt-get update -qq || true  # one unreachable source must not stop the others
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
  else
    echo "This Python cannot make virtual environments. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2
    exit 1
  fi
fi

"$python" -m venv "$folder"
