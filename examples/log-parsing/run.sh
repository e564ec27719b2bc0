#!/bin/sh
# Puts what CloudWatch Logs would send into a stream of an emulator, compressed as it does, runs the job, and compares rows and dead letters
# with expected/.
set -eu
export LC_ALL=C
cd "$(dirname "$0")"
pelton=${PELTON_PROGRAM:-pelton}
command -v "$pelton" > /dev/null || { echo "no program $pelton: cargo install --path ../../host, or set PELTON_PROGRAM" >&2; exit 1; }
command -v curl > /dev/null || { echo "curl is not on the PATH: it puts records that are no text" >&2; exit 1; }
for name in unpack parse; do
  [ -f "$name/$name.wasm" ] || { echo "no $name/$name.wasm: pelton build $name" >&2; exit 1; }
done
rm -rf out state
mkdir out

# Kinesis on a free port of this machine, in memory: nothing is left of it afterwards.
"$pelton" emulator --listen 127.0.0.1:0 --registry-listen 127.0.0.1:0 --stream logs:1 > out/emulator &
emulator=$!
trap 'kill $emulator 2> /dev/null || true; wait' EXIT
trap 'exit 1' INT TERM
until grep -qs '^Ctrl-C' out/emulator; do kill -0 $emulator; sleep 0.1; done
AWS_ENDPOINT_URL_KINESIS=$(awk 'NR == 1 { print $NF }' out/emulator)
export AWS_ENDPOINT_URL_KINESIS AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1

"$pelton" test job.yaml

# One record: what comes in, as it is. `pelton stream put` puts lines of text, and this is none.
put() {
  body="{\"StreamName\":\"logs\",\"PartitionKey\":\"$1\",\"Data\":\"$(base64 | tr -d '\n')\"}"
  curl -sSf -o out/put -H 'content-type: application/x-amz-json-1.1' -H 'x-amz-target: Kinesis_20131202.PutRecord' -d "$body" \
    "$AWS_ENDPOINT_URL_KINESIS"
}
gzip -c data/control.json | put control
gzip -c data/web-1.json | put web-1
gzip -c data/web-2.json | put web-2
gzip -c data/unknown.json | put unknown
gzip -c data/web-1.json | head -c 200 | put cut-off

"$pelton" run job.yaml --until-caught-up 2> out/said || { cat out/said >&2; exit 1; }

find out/requests -name '*.jsonl' -exec cat {} + > out/requests.jsonl
"$pelton" dead-letters list job.yaml --format json |
  sed 's/"stream":.*"partition_key":\("[^"]*"\).*/"record":\1}/' | sort > out/rejected.jsonl

same() {
  if diff "expected/$1" "out/$1"; then echo "out/$1 is as expected"; else echo "out/$1 differs" >&2; exit 1; fi
}
same requests.jsonl
same rejected.jsonl
