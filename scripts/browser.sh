#!/usr/bin/env bash
# Makes sure that the tests of the report find Chromium and its driver. Quick when they are there.
# On Debian as root, missing ones are installed from Debian's packages; elsewhere a message says what to do.
set -euo pipefail

enough() { command -v chromium >/dev/null && command -v chromedriver >/dev/null; }

if enough; then
  exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq || true  # one unreachable source must not stop the others
  echo "Installing Debian's chromium and chromium-driver ..." >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null
  hash -r
  if enough; then
    exit 0
  fi
fi
echo "The tests of the report drive Chromium, and chromium or chromedriver was not found." >&2
echo "On Debian or Ubuntu: sudo apt-get install chromium chromium-driver. Elsewhere: put both in the PATH." >&2
exit 1
