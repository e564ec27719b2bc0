#!/bin/sh
# Puts orders.jsonl into a stream of an emulator, runs the job over it, and compares every way that an order can go with expected/.
set -eu
export LC_ALL=C
cd "$(dirname "$0")"
pelton=${PELTON_PROGRAM:-pelton}
command -v "$pelton" > /dev/null || { echo "no program $pelton: cargo install --path ../../host, or set PELTON_PROGRAM" >&2; exit 1; }
[ -f plugin/plugin.wasm ] || { echo "no plugin/plugin.wasm: pelton build plugin" >&2; exit 1; }
rm -rf out state
mkdir out

# Kinesis on a free port of this machine, in memory: nothing is left of it afterwards.
"$pelton" emulator --listen 127.0.0.1:0 --registry-listen 127.0.0.1:0 --stream orders:2 --stream review:1 > out/emulator &
emulator=$!
trap 'kill $emulator 2> /dev/null || true; wait' EXIT
trap 'exit 1' INT TERM
until grep -qs '^Ctrl-C' out/emulator; do kill -0 $emulator; sleep 0.1; done
AWS_ENDPOINT_URL_KINESIS=$(awk 'NR == 1 { print $NF }' out/emulator)
export AWS_ENDPOINT_URL_KINESIS AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1

"$pelton" test job.yaml
"$pelton" stream put orders orders.jsonl --key id
"$pelton" run job.yaml --until-caught-up 2> out/said || { cat out/said >&2; exit 1; }

# Two shards are read side by side, so rows of different orders come in any order.
rows() { find "out/$1" -name '*.jsonl' -exec cat {} + | sort > "out/$1.jsonl"; }
rows home
rows abroad
# The Kinesis sink adds who wrote a record: ids and numbers, which follow the sequence numbers of the stream.
"$pelton" stream cat review | sed 's/,"_pelton":{[^}]*}//' | sort > out/review.jsonl
"$pelton" dead-letters list job.yaml --format json |
  sed 's/.*"code":"\([^"]*\)","message":"\([^"]*\)".*"partition_key":"\([^"]*\)".*/order \3: \1: \2/' | sort > out/rejected

same() {
  if diff "expected/$1" "out/$1"; then echo "out/$1 is as expected"; else echo "out/$1 differs" >&2; exit 1; fi
}
same home.jsonl
same abroad.jsonl
same review.jsonl
same rejected
