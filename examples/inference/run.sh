#!/bin/sh
# Starts a scoring service on this machine and runs the job twice over the same payments: `ordered` and `unordered`. The verdicts and the dead
# letters of both are compared with expected/.
set -eu
cd "$(dirname "$0")"
pelton=${PELTON_PROGRAM:-../../target/debug/pelton}
[ -x "$pelton" ] || { echo "no program $pelton: cargo build, or set PELTON_PROGRAM" >&2; exit 1; }
PLUGIN=${PELTON_GUESTS:-../../target/wasm32-wasip2/plugin}/inference_plugin.wasm
[ -f "$PLUGIN" ] || { echo "no plugin $PLUGIN: cargo xtask guests, or set PELTON_GUESTS" >&2; exit 1; }
command -v python3 > /dev/null || { echo "python3 is not on the PATH: the service is a script" >&2; exit 1; }
case $PLUGIN in /*) ;; *) PLUGIN=$PWD/$PLUGIN ;; esac
rm -rf out
mkdir out
service=
ended() { if [ -n "$service" ]; then kill "$service" 2> /dev/null || true; wait "$service" || true; fi; service=; }
trap ended EXIT
trap 'exit 1' INT TERM
export PLUGIN SCORES_TOKEN="open sesame"

"$pelton" test job.yaml

same() { if diff "expected/$1" "$2"; then echo "$2 is as expected"; else echo "$2 differs" >&2; exit 1; fi; }

for ORDER in ordered unordered; do
  export ORDER
  mkdir -p "out/$ORDER"
  # A service of its own for each run: what it drops the first time it drops in both.
  python3 service.py "out/$ORDER" > "out/$ORDER/service.txt" &
  service=$!
  until [ -f "out/$ORDER/address" ]; do kill -0 "$service"; sleep 0.1; done
  SCORES=$(cat "out/$ORDER/address")
  export SCORES
  "$pelton" run job.yaml --until-caught-up 2> "out/$ORDER/said.txt" || { cat "out/$ORDER/said.txt" >&2; exit 1; }
  ended
  cat out/"$ORDER"/verdicts/*.jsonl > "out/$ORDER/verdicts.jsonl"
  "$pelton" dead-letters list job.yaml --format json | sed 's/.*"code":"\([^"]*\)".*"message":"\([^"]*\)".*/\1: \2/' | sort > "out/$ORDER/dead.txt"
  echo "$ORDER: $(cat "out/$ORDER/service.txt")"
done

same verdicts.jsonl out/ordered/verdicts.jsonl
sort -t: -k2n out/unordered/verdicts.jsonl > out/unordered/sorted.jsonl
same verdicts.jsonl out/unordered/sorted.jsonl
for ORDER in ordered unordered; do same dead.txt "out/$ORDER/dead.txt"; done
if cmp -s out/ordered/verdicts.jsonl out/unordered/verdicts.jsonl; then echo "unordered left in order" >&2; exit 1; fi
if grep -rq "sesame" out/*/state out/*/said.txt out/*/dead-letters out/*/verdicts; then echo "the token was written down" >&2; exit 1; fi
echo "unordered has the same verdicts, in the order of answers"
