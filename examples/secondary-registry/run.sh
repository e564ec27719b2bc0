#!/bin/sh
# Two producers move from Confluent's registry to Glue's, one after the other, while a job reads what they write: what comes out is compared
# with expected/.
set -eu
cd "$(dirname "$0")"
pelton=${PELTON_PROGRAM:-../../target/debug/pelton}
[ -x "$pelton" ] || { echo "no program $pelton: cargo build, or set PELTON_PROGRAM" >&2; exit 1; }
case $pelton in /*) ;; *) pelton=$PWD/$pelton ;; esac
rm -rf out
mkdir out
running=
ended() { for pid in $running; do kill "$pid" 2> /dev/null || true; done; wait; }
trap ended EXIT
trap 'exit 1' INT TERM

# Kinesis with Glue beside it, and a registry as Confluent's, on free ports of this machine.
"$pelton" emulator --listen 127.0.0.1:0 --registry-listen 127.0.0.1:0 --stream clicks:1 > out/emulator &
emulator=$!
running=$emulator
until grep -q '^Ctrl-C' out/emulator; do kill -0 "$emulator"; sleep 0.1; done
aws=$(awk '/dynamodb/ { print $NF }' out/emulator)
REGISTRY=$(awk '/^schema registry/ { print $NF }' out/emulator)
export REGISTRY AWS_ENDPOINT_URL_KINESIS="$aws" AWS_ENDPOINT_URL_GLUE="$aws"
export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1

# Clicks FROM to TO of USER, with a schema, by way of a registry.
clicks() {
  echo "$1 writes $2 to $3 with $4, registered at $5"
  case $5 in confluent) place=$REGISTRY ;; glue) place=glue:default-registry ;; esac
  seq "$2" "$3" | sed "s|.*|{\"n\":&,\"user\":\"$1\",\"page\":\"cart\"}|" |
    "$pelton" stream put clicks --schema "schemas/$4.avsc" --subject clicks --registry "$place" > out/said
}
until_read() {
  for _ in $(seq 300); do
    if [ "$(cat out/results/*.jsonl 2> /dev/null | wc -l)" -ge "$1" ]; then return; fi
    sleep 0.1
  done
  echo "$1 records did not come out in 30 seconds" >&2
  exit 1
}

clicks ann 1 100 v1 confluent
clicks bob 101 200 v1 confluent
echo "the job begins"
"$pelton" run job.yaml 2> out/log &
job=$!
running="$running $job"
until_read 200
clicks ann 201 300 v1 glue
clicks bob 301 400 v1 confluent
clicks ann 401 500 v2 glue
clicks bob 501 600 v1 glue
clicks bob 601 700 v2 glue
until_read 700
kill -INT "$job"
wait "$job"
tail -n 1 out/log
cat out/results/*.jsonl > out/clicks.jsonl
if diff expected/clicks.jsonl out/clicks.jsonl; then echo "exact: 700 clicks, each once, in order"; else echo "NOT exact" >&2; exit 1; fi

# The same with Glue alone: what was written by way of the other registry cannot be read, and the job stops before it delivers the rest.
sed 's|^job: .*|job: glue-alone|; /^  secondary:/d; s|path: out/|path: out/alone/|; s|dir: out/|dir: out/alone/|' job.yaml > alone.yaml
"$pelton" run alone.yaml --until-caught-up 2> out/log && code=0 || code=$?
rm alone.yaml
words=$(sed -n 's/^pelton: .*The first: [^:]*: \([^;]*\);.*/\1/p' out/log)
echo "with Glue alone: exit code $code, $words" > out/alone.txt
cat out/alone.txt
diff expected/alone.txt out/alone.txt || { echo "NOT as expected" >&2; exit 1; }
