#!/bin/sh
# A job watches logins while they come in, from a stream of an emulator: first those of data/logins.jsonl, and once these are judged, those of
# data/later.jsonl, of which one is too late. Alerts, late logins and dead letters are compared with expected/.
set -eu
export LC_ALL=C
cd "$(dirname "$0")"
pelton=${PELTON_PROGRAM:-pelton}
command -v "$pelton" > /dev/null || { echo "no program $pelton: cargo install --path ../../host, or set PELTON_PROGRAM" >&2; exit 1; }
[ -f plugin/plugin.wasm ] || { echo "no plugin/plugin.wasm: (cd plugin && npm install) && pelton build plugin" >&2; exit 1; }
rm -rf out state
mkdir out

# Kinesis on a free port of this machine, in memory: nothing is left of it afterwards.
"$pelton" emulator --listen 127.0.0.1:0 --registry-listen 127.0.0.1:0 --stream logins:1 > out/emulator &
running=$!
trap 'kill $running 2> /dev/null || true; wait' EXIT
trap 'exit 1' INT TERM
until grep -qs '^Ctrl-C' out/emulator; do kill -0 $running; sleep 0.1; done
AWS_ENDPOINT_URL_KINESIS=$(awk 'NR == 1 { print $NF }' out/emulator)
export AWS_ENDPOINT_URL_KINESIS AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1

"$pelton" test job.yaml
"$pelton" run job.yaml 2> out/said &
job=$!
running="$running $job"

rows() { find "out/$1" -name '*.jsonl' -exec cat {} + 2> out/none > "out/$1.jsonl" || true; }
# Waits until there are so many rows: has alerts 2.
has() {
  for _ in $(seq 600); do
    rows "$1"
    if [ "$(wc -l < "out/$1.jsonl")" -ge "$2" ]; then return; fi
    kill -0 $job || break
    sleep 0.1
  done
  cat out/said >&2
  echo "there are no $2 rows of $1" >&2
  exit 1
}
"$pelton" stream put logins data/logins.jsonl --key user
has alerts 2
"$pelton" stream put logins data/later.jsonl --key user
has alerts 3
has late 1
kill -INT $job
wait $job

"$pelton" dead-letters list job.yaml --format json |
  sed 's/.*"code":"\([^"]*\)","message":"\([^"]*\)".*"partition_key":"\([^"]*\)".*/user \3: \1: \2/' > out/rejected

same() {
  if diff "expected/$1" "out/$1"; then echo "out/$1 is as expected"; else echo "out/$1 differs" >&2; exit 1; fi
}
same alerts.jsonl
same late.jsonl
same rejected
