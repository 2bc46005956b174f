#!/usr/bin/env bash
# Makes sure that Spark finds a Java runtime of version 17 or newer. Quick when there is one.
# On Debian as root, a missing one is installed from Debian's packages; elsewhere a message says what to do.
set -euo pipefail

find_java() {
  if [ -n "${JAVA_HOME:-}" ]; then
    echo "$JAVA_HOME/bin/java"
  else
    command -v java || true
  fi
}

# The first number of the version, or nothing: `openjdk version "17.0.15" ...` is 17.
major() { { "$1" -version 2>&1 || true; } | sed -nE 's/.* version "([0-9]+).*/\1/p' | head -n 1; }

enough() {
  java=$(find_java)
  version=
  [ -z "$java" ] || version=$(major "$java")
  [ -n "$version" ] && [ "$version" -ge 17 ]
}

if enough; then
  exit 0
fi
if [ -n "${JAVA_HOME:-}" ]; then
  echo "JAVA_HOME ($JAVA_HOME) holds ${version:+only Java }${version:-no Java}." >&2
  echo "Spark needs Java 17 or newer: point JAVA_HOME at one, or unset it." >&2
  exit 1
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq || true  # one unreachable source must not stop the others
  for package in openjdk-17-jre-headless openjdk-21-jre-headless default-jre-headless; do
    if [ -n "$(apt-cache madison "$package")" ]; then
      echo "Installing Debian's $package ..." >&2
      DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null
      break
    fi
  done
  hash -r
  if enough; then
    exit 0
  fi
fi
echo "Spark needs Java 17 or newer, and ${version:+only Java }${version:-none} was found." >&2
echo "On Debian or Ubuntu: sudo apt-get install openjdk-17-jre-headless. Elsewhere: install one and set JAVA_HOME." >&2
exit 1
