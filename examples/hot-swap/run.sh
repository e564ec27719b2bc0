#!/bin/sh
# Replaces the plugin of a running job ten times while payments come in; three more releases are bad, and are taken back by themselves. Then
# check.py looks at every row, and draws swaps.svg.
set -eu
export LC_ALL=C
cd "$(dirname "$0")"
pelton=${PELTON_PROGRAM:-pelton}
command -v "$pelton" > /dev/null || { echo "no program $pelton: cargo install --path ../../host, or set PELTON_PROGRAM" >&2; exit 1; }
[ -f releases/bad-11.wasm ] || { echo "no releases/bad-11.wasm: ./releases.sh" >&2; exit 1; }
command -v python3 > /dev/null || { echo "python3 is not on the PATH: it puts payments and checks results" >&2; exit 1; }
case $pelton in */*) pelton=$(cd "$(dirname "$pelton")" && pwd)/$(basename "$pelton") ;; esac
rm -rf out swaps.svg
mkdir out
running=
ended() { for pid in $running; do kill "$pid" 2> /dev/null || true; done; wait; }
trap ended EXIT
trap 'exit 1' INT TERM

users=100
rounds=700 # at twenty a second

"$pelton" test job.yaml

# Kinesis on a free port of this machine, in memory: nothing is left of it afterwards.
"$pelton" emulator --listen 127.0.0.1:0 --registry-listen 127.0.0.1:0 --stream payments:4 > out/emulator &
emulator=$!
running=$emulator
until grep -qs '^Ctrl-C' out/emulator; do kill -0 $emulator; sleep 0.1; done
AWS_ENDPOINT_URL_KINESIS=$(awk 'NR == 1 { print $NF }' out/emulator)
export AWS_ENDPOINT_URL_KINESIS AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1

rows() { find out/results -name '*.jsonl' ! -path '*/_*' -exec cat {} + 2> /dev/null | wc -l; }
until_so() {
  for _ in $(seq 600); do if "$@"; then return; fi; sleep 0.1; done
  echo "not so after a minute: $*" >&2
  tail -n 20 out/said >&2
  exit 1
}
has_rows() { [ "$(rows)" -ge "$1" ]; }
was_taken_back() { [ "$(grep -c 'has failed and is taken back' out/said)" -gt "$1" ]; }

PELTON_LOG=info "$pelton" run job.yaml 2> out/said &
job=$!
running="$running $job"
python3 put.py $users $rounds 20 &
producer=$!
running="$running $producer"
until_so has_rows $users

now_ms() { python3 -c 'import time; print(time.time_ns() // 1000000)'; }
stayed=0 back=0
# swap NAME OPTION...: what `pelton swap` says goes to out/swap, when the release came and what became of it to out/swaps.
swap() {
  sleep 1.3
  name=$1
  shift
  begins=$(now_ms) code=0
  "$pelton" swap job.yaml recent "releases/$name.wasm" "$@" > out/swap 2>&1 || code=$?
}
stays() {
  swap "$@"
  [ $code = 0 ] || { cat out/swap >&2; exit 1; }
  grep -q 'cannot read what this plugin stores' out/swap
  echo "$begins $(now_ms) $name stays" >> out/swaps
  stayed=$((stayed + 1))
  echo "$name stays; partitions stood still for $(sed -n 's/.*stood still for \(.*\) ms/\1/p' out/swap | tr '\n' ' ')ms"
}
goes_back() {
  swap "$@"
  # On trial a release may fail when the command has ended; a canary never does.
  case $code$* in 1* | 0"$name") ;; *) cat out/swap >&2; exit 1 ;; esac
  until_so was_taken_back $back
  echo "$begins $(now_ms) $name back" >> out/swaps
  echo "$name is taken back: $(sed -n 's/.* has failed and is taken back, [^:]*: //p' out/said | tail -n 1 | sed 's/.*its last words: //')"
  back=$((back + 1))
}

for release in 2 3 4; do stays "release-$release"; done
# Release 3 does not read what release 4 has stored: once that is durable, no way leads back.
until_so grep -rqs '"release":4' out/results
code=0
"$pelton" rollback job.yaml > out/swap 2>&1 || code=$?
[ $code = 78 ] && grep -q 'may hold values of version 4' out/swap || { cat out/swap >&2; exit 1; }
goes_back bad-4
for release in 5 6 7; do stays "release-$release"; done
goes_back bad-8 --canary 25% --for 1s
for release in 8 9 10; do stays "release-$release"; done
goes_back bad-11 --canary 25% --for 1s --guard 'assert=recent >= cents'
stays release-11 --canary 50% --for 1s --guard 'assert=recent >= cents'
touch out/swapped

wait $producer
until_so has_rows $((users * rounds))
kill -TERM $job
wait $job || { tail -n 20 out/said >&2; exit 1; }

# What the release that the guard stopped would have changed; and that one release agrees with itself.
replay() { "$pelton" replay job.yaml --step recent --a releases/release-11.wasm "$@"; }
code=0
replay --b releases/bad-11.wasm --show 2 > out/replay 2> out/replay.said || code=$?
[ $code = 1 ] || { cat out/replay out/replay.said >&2; exit 1; }
sed -n '/changed$/p' out/replay
replay --b releases/release-11.wasm > out/replay 2> out/replay.said || { cat out/replay out/replay.said >&2; exit 1; }

# What the ones that trapped were given: they trap again. Release 4 has the state of bad-4, release 9 migrates it, and neither traps; release 3
# does not read it.
mended=0
for capsule in $(find out/state -path '*capsules*' -name '*.json' | sort); do
  code=0
  "$pelton" repro "$capsule" > out/repro 2>&1 || code=$?
  [ $code = 1 ] || { cat out/repro >&2; exit 1; }
  grep -q 'left over from a test' out/repro || continue
  for release in 4 9; do
    "$pelton" repro "$capsule" --plugin releases/release-$release.wasm > out/repro 2>&1 || { cat out/repro >&2; exit 1; }
  done
  code=0
  "$pelton" repro "$capsule" --plugin releases/release-3.wasm > out/repro 2>&1 || code=$?
  [ $code = 78 ] || { cat out/repro >&2; exit 1; }
  mended=$((mended + 1))
done
[ $mended != 0 ] || { echo "no capsule of bad-4 was kept" >&2; exit 1; }
echo "what bad-4 trapped at: it does again, and release-4 and release-9 do not"
kill $emulator
running=
python3 check.py $users $rounds "$stayed swaps, $back taken back"
