#!/usr/bin/env bash
# Uses every call that the AWS CLI has (all but SubscribeToShard): aws_cli_every_call.sh ENDPOINT
set -euo pipefail
endpoint="$1"
name="cli-$$-$RANDOM"
export AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=y AWS_DEFAULT_REGION=us-east-1 AWS_MAX_ATTEMPTS=1 AWS_PAGER=""

k() { aws --endpoint-url "$endpoint" --output text kinesis "$@"; }
f() { aws --endpoint-url "$endpoint" --output text firehose "$@"; }
fail() { echo "aws cli: $*" >&2; exit 1; }
has() { [[ "$2" == *"$3"* ]] || fail "$1: '$2' lacks '$3'"; }
is() { [ "$2" = "$3" ] || fail "$1: got '$2', wanted '$3'"; }

k create-stream --stream-name "$name" --shard-count 1
k wait stream-exists --stream-name "$name"
is status "$(k describe-stream --stream-name "$name" --query StreamDescription.StreamStatus)" ACTIVE
is open "$(k describe-stream-summary --stream-name "$name" --query StreamDescriptionSummary.OpenShardCount)" 1
has list-streams "$(k list-streams --query StreamNames)" "$name"
arn=$(k describe-stream-summary --stream-name "$name" --query StreamDescriptionSummary.StreamARN)

# Version 2 takes blobs as base64, version 1 as they are: what the data is afterwards is not compared.
is shard "$(k put-record --stream-name "$name" --partition-key a --data aGk= --query ShardId)" shardId-000000000000
is failed "$(k put-records --stream-name "$name" --records Data=aGk=,PartitionKey=b Data=aGk=,PartitionKey=c \
  --query FailedRecordCount)" 0
iterator=$(k get-shard-iterator --stream-name "$name" --shard-id shardId-000000000000 \
  --shard-iterator-type TRIM_HORIZON --query ShardIterator)
is records "$(k get-records --shard-iterator "$iterator" --query 'Records[].PartitionKey' | tr '\t' ' ')" "a b c"

k split-shard --stream-name "$name" --shard-to-split shardId-000000000000 --new-starting-hash-key 12345
is shards "$(k list-shards --stream-name "$name" --query 'length(Shards)')" 3
k merge-shards --stream-name "$name" --shard-to-merge shardId-000000000001 \
  --adjacent-shard-to-merge shardId-000000000002
is latest "$(k list-shards --stream-name "$name" --shard-filter Type=AT_LATEST --query 'Shards[].ShardId')" \
  shardId-000000000003

is scaled "$(k update-shard-count --stream-name "$name" --target-shard-count 2 --scaling-type UNIFORM_SCALING \
  --query '[CurrentShardCount, TargetShardCount]' | tr '\t' ' ')" "1 2"
is open "$(k describe-stream-summary --stream-name "$name" --query StreamDescriptionSummary.OpenShardCount)" 2

consumer=$(k register-stream-consumer --stream-arn "$arn" --consumer-name c --query Consumer.ConsumerARN)
is consumer "$(k describe-stream-consumer --consumer-arn "$consumer" \
  --query ConsumerDescription.ConsumerStatus)" ACTIVE
is consumers "$(k list-stream-consumers --stream-arn "$arn" --query 'Consumers[].ConsumerName')" c
k deregister-stream-consumer --consumer-arn "$consumer"
k delete-stream --stream-name "$name"
gone=$(k describe-stream --stream-name "$name" 2>&1) && fail "deleted stream is found"
[[ "$gone" == *ResourceNotFoundException* ]] || fail "deleted stream: $gone"

f create-delivery-stream --delivery-stream-name "$name" >/dev/null
is delivery "$(f describe-delivery-stream --delivery-stream-name "$name" \
  --query DeliveryStreamDescription.DeliveryStreamStatus)" ACTIVE
has list-delivery-streams "$(f list-delivery-streams --limit 100)" "$name"
f put-record --delivery-stream-name "$name" --record Data=aGk= >/dev/null
is failed "$(f put-record-batch --delivery-stream-name "$name" --records Data=aGk= Data=aGk= --query FailedPutCount)" 0
is delivered "$(curl -fsS "$endpoint/_pelton/firehose/$name" | wc -l | tr -d ' ')" 3
echo "aws cli: every call as expected"
