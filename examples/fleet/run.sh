#!/usr/bin/env bash
# Three workers share eight shards. One is killed, one is stopped for longer than its leases last and goes on, shards are split and merged,
# all while records come in. Then the results are compared with a plain count, and who.svg shows who held which shard when.
set -euo pipefail
cd "$(dirname "$0")"
command -v pelton > /dev/null || { echo "pelton is not on the PATH: cargo install --path ../../host" >&2; exit 1; }
rm -rf out store state who.svg
work=$(mktemp -d)
trap 'exec 2> "$work/end"; kill -KILL $(jobs -p) || true; wait; rm -rf "$work"' EXIT

# An emulator of Kinesis and of DynamoDB, on a free port.
pelton emulator --listen 127.0.0.1:0 --registry-listen 127.0.0.1:0 --stream clicks:8 > "$work/emulator" &
until grep -q '^stream ' "$work/emulator"; do kill -0 %1; sleep 0.1; done
address=$(head -1 "$work/emulator" | awk '{ print $NF }')
export AWS_ENDPOINT_URL_KINESIS=$address AWS_ENDPOINT_URL_DYNAMODB=$address
export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x AWS_REGION=us-east-1

# A worker is `pelton run` and nothing else; its name in the lease table begins with the name of its host.
worker() {
  HOSTNAME=$1 pelton run job.yaml 2> "$work/$1" &
  echo $! > "$work/$1.pid"
}
signal() { kill "-$1" "$(cat "$work/$2.pid")"; }

# Second number i of the load: a click of each of 200 users, as JSON lines.
clicks() {
  awk -v i="$1" 'BEGIN { for (u = 0; u < 200; u++)
    printf "{\"user\":\"u%03d\",\"n\":%d,\"at\":%.0f}\n", u, (u * 7 + i * 13) % 100, (1767225600 + i) * 1000 + u }'
}
put() { clicks "$1" | tee -a "$work/all" | pelton stream put clicks --key user > "$work/put"; }

for name in one two three; do worker $name; done
until pelton leases list job.yaml > "$work/leases" 2>&1; do sleep 0.2; done
pelton leases watch job.yaml --every 200 --svg who.svg > "$work/watch" & watch=$!

for i in $(seq 0 59); do
  put "$i"
  case $i in
    12) echo "worker one is killed"; signal KILL one; wait "$(cat "$work/one.pid")" 2> "$work/end" || true ;;
    16) echo "worker four begins"; worker four ;;
    20) echo "shard 2 is split"; pelton stream split clicks shardId-000000000002 > "$work/split" ;;
    24) echo "worker two is stopped"; signal STOP two ;;
    38) echo "worker two goes on"; signal CONT two ;;
    44) echo "shards 6 and 7 are merged"; pelton stream merge clicks shardId-000000000006 shardId-000000000007 > "$work/merge" ;;
    50) echo "worker three is asked to end"; signal TERM three ;;
  esac
  sleep 0.4
done
# Event time goes far ahead for every user, so that every window of the load is complete.
clicks 1000 | pelton stream put clicks --key user > "$work/put"

# A plain count of the same clicks: what the windows must say.
awk -F'[:,}]' '
  { s = int($6 / 10000) * 10 - 1767225600; key = $2 " " s; n[key]++; total[key] += $4 }
  function time(s) { return sprintf("2026-01-01T00:%02d:%02dZ", int(s / 60), s % 60) }
  END { for (key in n) { split(key, part, " ")
    printf "{\"user\":%s,\"window_start\":\"%s\",\"window_end\":\"%s\",\"firing\":\"on_time\",\"firing_number\":0,\"clicks\":%d,\"total\":%d}\n",
      part[1], time(part[2]), time(part[2] + 10), n[key], total[key] } }' "$work/all" | sort > "$work/expected"
rows=$(wc -l < "$work/expected")
for _ in $(seq 300); do
  cat out/*.jsonl 2> "$work/none" | sort > "$work/results" || true
  [ "$(wc -l < "$work/results")" -ge "$rows" ] && break
  sleep 0.2
done

for name in two four; do signal TERM $name; done
sleep 1
kill -TERM "$watch"; wait "$watch"
cat out/*.jsonl | sort > "$work/results"
if diff "$work/expected" "$work/results" > "$work/diff"; then
  echo "exact: $rows windows of $(wc -l < "$work/all") clicks"
else
  head -20 "$work/diff"; tail -n 5 "$work"/one "$work"/two "$work"/three "$work"/four
  echo "NOT exact: $(wc -l < "$work/results") rows, expected $rows"; exit 1
fi
echo "who held which shard when: who.svg"
