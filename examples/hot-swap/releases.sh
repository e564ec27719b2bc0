#!/bin/sh
# Builds the eleven releases of the plugin, and three bad ones, from the one source: releases/NAME.wasm.
set -eu
cd "$(dirname "$0")"
pelton=${PELTON_PROGRAM:-pelton}
command -v "$pelton" > /dev/null || { echo "no program $pelton: cargo install --path ../../host, or set PELTON_PROGRAM" >&2; exit 1; }
rm -rf releases

# release NAME NUMBER [MISTAKE]
release() {
  mkdir -p "releases/$1"
  { echo "#define RELEASE $2"; echo "#define MISTAKE ${3:-NONE}"; cat plugin/plugin.c; } > "releases/$1/plugin.c"
  "$pelton" build "releases/$1" -o "releases/$1.wasm" > "releases/$1/said" 2>&1 || { cat "releases/$1/said" >&2; exit 1; }
  rm -r "releases/$1"
  echo "releases/$1.wasm"
}

for number in 1 2 3 4 5 6 7 8 9 10 11; do release "release-$number" "$number"; done
release bad-4 4 STOPS_AT_A_USER
release bad-8 8 FORGETS_TO_MIGRATE
release bad-11 11 SUBTRACTS
