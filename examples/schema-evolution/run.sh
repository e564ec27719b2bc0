#!/bin/sh
# Producers move through nine versions of a schema, in the frames of two registries, and sixteen jobs a registry read them: one for each
# compatibility mode and each of the two things that can happen to what breaks it. What the registries let in, what the jobs did and what
# they said is printed, and compared with expected/.
set -eu
cd "$(dirname "$0")"
pelton=${PELTON_PROGRAM:-../../target/debug/pelton}
[ -x "$pelton" ] || { echo "no program $pelton: cargo build, or set PELTON_PROGRAM" >&2; exit 1; }
command -v curl > /dev/null || { echo "curl is not on the PATH: it sets the modes of registries" >&2; exit 1; }
case $pelton in /*) ;; *) pelton=$PWD/$pelton ;; esac
rm -rf out
mkdir out
running=
ended() { for pid in $running; do kill "$pid" 2> /dev/null || true; done; wait; }
trap ended EXIT
trap 'exit 1' INT TERM

modes="none backward backward_all forward forward_all full full_all disabled"
versions="1 2 3 4 5 6 7 8 9"

# Both registries and Kinesis, on free ports of this machine.
"$pelton" emulator --listen 127.0.0.1:0 --registry-listen 127.0.0.1:0 --stream orders-confluent:1 --stream orders-glue:1 > out/emulator &
emulator=$!
running=$emulator
until grep -q '^Ctrl-C' out/emulator; do kill -0 "$emulator"; sleep 0.1; done
aws=$(awk '/dynamodb/ { print $NF }' out/emulator)
REGISTRY=$(awk '/^schema registry/ { print $NF }' out/emulator)
export REGISTRY AWS_ENDPOINT_URL_KINESIS="$aws" AWS_ENDPOINT_URL_GLUE="$aws"
export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1

place() { case $1 in confluent) echo "$REGISTRY" ;; glue) echo glue:default-registry ;; esac; }

# Sets the mode by which a subject may grow: allow REGISTRY SUBJECT MODE. At Glue the schema is made, with version 1.
allow() {
  level=$(echo "$3" | tr '[:lower:]' '[:upper:]')
  if [ "$1" = confluent ]; then
    body="{\"compatibility\":\"$(echo "$level" | sed 's/_ALL/_TRANSITIVE/')\"}"
    curl -sf -o out/said -X PUT -H 'content-type: application/json' -d "$body" "$REGISTRY/config/$2"
  else
    text=$(tr -d '\n' < schemas/v1.avsc | sed 's/"/\\"/g')
    body="{\"SchemaName\":\"$2\",\"DataFormat\":\"AVRO\",\"Compatibility\":\"$level\",\"SchemaDefinition\":\"$text\"}"
    curl -sf -o out/said -H 'content-type: application/x-amz-json-1.1' -H 'x-amz-target: AWSGlue.CreateSchema' -d "$body" "$aws"
  fi
}

table() { awk '{ printf "%-13s", $1; for (i = 2; i <= NF; i++) printf "%-9s", $i; print "" }' | sed 's/ *$//'; }
head_line="mode v1 v2 v3 v4 v5 v6 v7 v8 v9"

# What a registry lets in that is asked to keep the mode.
registry_table() {
  echo "== $1: what the registry lets in"
  {
    echo "$head_line"
    for mode in $modes; do
      row=$mode
      if [ "$1 $mode" = "confluent disabled" ]; then
        echo "$row - - - - - - - - -"
        continue
      fi
      allow "$1" "orders-$mode" "$mode"
      for v in $versions; do
        if "$pelton" schema register "orders-$mode" "schemas/v$v.avsc" --registry "$(place "$1")" > out/said 2>&1; then
          row="$row taken"
        else
          row="$row refused"
        fi
      done
      echo "$row"
    done
  } | table
  echo
}

# The record of a version; its id is the version. Fields that the version lacks are left out by the encoder.
record() {
  case $1 in 6 | 7 | 8 | 9) weight='"1.5 kg"' ;; *) weight=1.5 ;; esac
  case $1 in 8) channel=app ;; *) channel=web ;; esac
  echo "{\"id\":$1,\"amount\":${1}0,\"weight\":$weight,\"channel\":\"$channel\",\"country\":\"nl\",\"customer\":\"c\",\"client\":\"c\"}"
}
put() { record "$2" | "$pelton" stream put "orders-$1" --schema "schemas/v$2.avsc" --subject orders --registry "$(place "$1")" > out/said; }

until_so() {
  for _ in $(seq 300); do if "$@"; then return; fi; sleep 0.1; done
  echo "not so after 30 seconds: $*" >&2
  exit 1
}
lines() { find "$@" -path "*/staging" -prune -o -name "*.jsonl" -exec cat {} + 2> /dev/null | wc -l; }
has_lines() { want=$1; shift; [ "$(lines "$@")" -ge "$want" ]; }
has_ended() { grep -q '^pelton: ' "$1/said"; }
# A job that may stop has stopped, or has read so many: keeps_up FOLDER COUNT.
keeps_up() { has_ended "$1" || has_lines "$2" "$1"; }

# Sixteen jobs at once, while a producer goes through the versions. The registry lets everything in: the jobs themselves keep the modes.
jobs_table() {
  folder=out/$1
  mkdir -p "$folder"
  case $1 in
    confluent) cp job.yaml "$folder/job.yaml" ;;
    glue) sed 's|^registry: .*|registry: { glue: { endpoint: "${env:AWS_ENDPOINT_URL_GLUE}" } }|' job.yaml > "$folder/job.yaml" ;;
  esac
  jobs=
  for mode in $modes; do
    for on in stop dead_letter; do
      mkdir -p "$folder/$mode-$on"
      STREAM=orders-$1 MODE=$mode ON=$on "$pelton" run "$folder/job.yaml" 2> "$folder/$mode-$on/said" &
      jobs="$jobs $!"
      running="$running $!"
    done
  done
  # Every job reads by version 1.
  until_so has_lines 16 "$folder"
  for v in $versions; do
    [ "$v" = 1 ] || put "$1" "$v"
    until_so has_lines $((8 * v)) "$folder"/*-dead_letter
    for mode in $modes; do until_so keeps_up "$folder/$mode-stop" "$v"; done
  done
  for job in $jobs; do kill -INT "$job" 2> /dev/null || true; done
  for job in $jobs; do wait "$job" || true; done

  echo "== $1: what the job does, on_incompatible: dead_letter"
  {
    echo "$head_line"
    for mode in $modes; do
      row=$mode
      find "$folder/$mode-dead_letter/results" -name '*.jsonl' -exec cat {} + > out/results
      for v in $versions; do
        if grep -q "{\"id\":$v,\"amount\":${v}0}" out/results; then row="$row reads"; else row="$row dead"; fi
      done
      echo "$row"
    done
  } | table
  echo
  echo "== $1: what the job says, on_incompatible: stop"
  for mode in $modes; do
    read=$(lines "$folder/$mode-stop/results")
    # Ids are the registry's own.
    words=$(grep '^pelton: ' "$folder/$mode-stop/said" | sed 's/schema [0-9a-f-]*, //; s/.*source orders: //; s/; nothing of it was read.*//' || true)
    echo "$mode: $read read${words:+; stops: $words}"
  done
  echo
  echo "== $1: how many dead letters, and why"
  for mode in $modes; do
    "$pelton" dead-letters list "$folder/$mode-dead_letter/dead-letters" --format json |
      sed 's/.*"code":"\([^"]*\)".*/\1/' | sort | uniq -c | awk -v mode="$mode" '{ print mode ": " $1 " " $2 }'
  done
  echo
}

# What people ask before they register anything.
ask() {
  echo "\$ pelton schema $*"
  "$pelton" schema "$@" 2>&1 && code=0 || code=$?
  echo "exit code $code"
  echo
}
schema_commands() {
  ask check schemas/v3.avsc --against schemas/v1.avsc schemas/v2.avsc
  ask diff schemas/v1.avsc schemas/v9.avsc
  ask evolve schemas/v2.avsc --add customer:string --mode backward
  ask evolve schemas/v2.avsc --add 'customer:string=""' --symbol channel=app --mode full
  ask impact schemas/v2.avsc --job job.yaml
  ask impact schemas/v9.avsc --job job.yaml
}

same() {
  if diff "expected/$1" "out/$1.txt"; then echo "out/$1.txt is as expected"; else echo "out/$1.txt differs" >&2; exit 1; fi
}

for registry in confluent glue; do
  echo "$registry: registries are asked to keep modes, and then jobs are ..."
  registry_table "$registry" > "out/$registry.txt"
  allow "$registry" orders none
  put "$registry" 1
  [ "$registry" = glue ] || schema_commands > out/schema.txt
  jobs_table "$registry" >> "out/$registry.txt"
  cat "out/$registry.txt"
done
cat out/schema.txt
same confluent
same glue
same schema
