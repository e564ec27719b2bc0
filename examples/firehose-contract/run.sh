#!/bin/sh
# Puts views into a stream of an emulator, runs the job, and compares rows, what a delivery stream was given, and dead letters with expected/.
set -eu
export LC_ALL=C
cd "$(dirname "$0")"
pelton=${PELTON_PROGRAM:-pelton}
command -v "$pelton" > /dev/null || { echo "no program $pelton: cargo install --path ../../host, or set PELTON_PROGRAM" >&2; exit 1; }
command -v curl > /dev/null || { echo "curl is not on the PATH: it makes a delivery stream" >&2; exit 1; }
[ -f plugin/plugin.wasm ] || { echo "no plugin/plugin.wasm: pelton build plugin" >&2; exit 1; }
rm -rf out state
mkdir out

# Kinesis and Firehose on a free port of this machine, in memory: nothing is left of it afterwards.
"$pelton" emulator --listen 127.0.0.1:0 --registry-listen 127.0.0.1:0 --stream views:1 > out/emulator &
emulator=$!
trap 'kill $emulator 2> /dev/null || true; wait' EXIT
trap 'exit 1' INT TERM
until grep -qs '^Ctrl-C' out/emulator; do kill -0 $emulator; sleep 0.1; done
AWS_ENDPOINT_URL_KINESIS=$(awk 'NR == 1 { print $NF }' out/emulator)
export AWS_ENDPOINT_URL_KINESIS AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1
aws() {
  curl -sSf -o out/answer -H 'content-type: application/x-amz-json-1.1' -H "x-amz-target: $1" -d "$2" "$AWS_ENDPOINT_URL_KINESIS"
}

"$pelton" test job.yaml 2> out/log
aws Firehose_20150804.CreateDeliveryStream '{"DeliveryStreamName":"views"}'
"$pelton" stream put views views.jsonl --key visitor
# What is no JSON at all: `page=/` in base64.
aws Kinesis_20131202.PutRecord '{"StreamName":"views","PartitionKey":"v4","Data":"cGFnZT0v"}'

"$pelton" run job.yaml --until-caught-up 2> out/said || { cat out/said >&2; exit 1; }

find out/views -name '*.jsonl' -exec cat {} + > out/views.jsonl
# A delivery stream of the emulator shows what it was given: base64 again. The sink adds ids and numbers of its own.
curl -sSf "$AWS_ENDPOINT_URL_KINESIS/_pelton/firehose/views" | sed 's/{"Data":"\(.*\)"}/\1/' |
  while read -r data; do echo "$data" | base64 -d; echo; done | sed '/^$/d; s/,"_pelton":{[^}]*}//' > out/delivered.jsonl
"$pelton" dead-letters list job.yaml --format json |
  sed 's/.*"code":"\([^"]*\)","message":"\(.*\)","stream":.*"partition_key":"\([^"]*\)".*/\3: \1: \2/' | sort > out/rejected

same() {
  if diff "expected/$1" "out/$1"; then echo "out/$1 is as expected"; else echo "out/$1 differs" >&2; exit 1; fi
}
same views.jsonl
same delivered.jsonl
same rejected
