"""Uses every call of the emulator through boto3 and checks the outcomes: boto3_every_call.py ENDPOINT"""

import base64
import hashlib
import json
import sys
import time
import urllib.request
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = sys.argv[1].rstrip("/")
OPTIONS = dict(endpoint_url=ENDPOINT, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y",
               config=Config(retries={"total_max_attempts": 1}))
kinesis = boto3.client("kinesis", **OPTIONS)
firehose = boto3.client("firehose", **OPTIONS)
NAME = "judge-" + uuid.uuid4().hex[:8]


def fails(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == code, f"{call.__name__}: {got}, wanted {code}: {error}"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert error.response["ResponseMetadata"]["RequestId"]
        return error.response["Error"]["Message"]
    raise AssertionError(f"{call.__name__}({arguments}) did not fail with {code}")


def shards(**more):
    return kinesis.list_shards(StreamName=NAME, **more)["Shards"]


def read_all(shard, **start):
    start = start or {"ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(StreamName=NAME, ShardId=shard, **start)["ShardIterator"]
    out = []
    while iterator:
        page = kinesis.get_records(ShardIterator=iterator, Limit=7)
        out += page["Records"]
        iterator = page.get("NextShardIterator")
        if iterator and not page["Records"]:
            assert page["MillisBehindLatest"] == 0
            return out, None
    return out, page["ChildShards"]


def streams():
    kinesis.create_stream(StreamName=NAME, ShardCount=2)
    fails("ResourceInUseException", kinesis.create_stream, StreamName=NAME, ShardCount=2)
    description = kinesis.describe_stream(StreamName=NAME)["StreamDescription"]
    assert description["StreamStatus"] == "ACTIVE" and len(description["Shards"]) == 2
    assert not description["HasMoreShards"] and description["StreamARN"].endswith(f":stream/{NAME}")
    page = kinesis.describe_stream(StreamName=NAME, Limit=1)["StreamDescription"]
    assert page["HasMoreShards"] and len(page["Shards"]) == 1
    summary = kinesis.describe_stream_summary(StreamARN=description["StreamARN"])["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 2 and summary["ConsumerCount"] == 0
    assert NAME in [n for p in kinesis.get_paginator("list_streams").paginate(Limit=1) for n in p["StreamNames"]]
    fails("ResourceNotFoundException", kinesis.describe_stream, StreamName="nowhere")
    fails("ValidationException", kinesis.create_stream, StreamName="a b", ShardCount=1)
    return description["StreamARN"]


def records():
    one = kinesis.put_record(StreamName=NAME, PartitionKey="a", Data=b"one")
    assert len(one["SequenceNumber"]) == 56 and one["ShardId"] == "shardId-000000000000"
    key = str(2**128 - 1)
    two = kinesis.put_record(StreamName=NAME, PartitionKey="a", ExplicitHashKey=key, Data=b"two")
    assert two["ShardId"] == "shardId-000000000001"
    entries = [{"Data": b"%d" % i, "PartitionKey": f"key-{i}"} for i in range(100)]
    answer = kinesis.put_records(StreamName=NAME, Records=entries)
    assert answer["FailedRecordCount"] == 0 and len(answer["Records"]) == 100
    ranges = {s["ShardId"]: s["HashKeyRange"] for s in shards()}
    for entry, put in zip(entries, answer["Records"]):
        hashed = int.from_bytes(hashlib.md5(entry["PartitionKey"].encode()).digest(), "big")
        home = ranges[put["ShardId"]]
        assert int(home["StartingHashKey"]) <= hashed <= int(home["EndingHashKey"])
    for shard in ranges:
        wanted = [e["Data"] for e, p in zip(entries, answer["Records"]) if p["ShardId"] == shard]
        found, children = read_all(shard)
        assert [r["Data"] for r in found][1:] == wanted and children is None
        numbers = [int(r["SequenceNumber"]) for r in found]
        assert numbers == sorted(set(numbers))
        third = found[2]["SequenceNumber"]
        at, _ = read_all(shard, ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=third)
        after, _ = read_all(shard, ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=third)
        assert at == found[2:] and after == found[3:]
        assert read_all(shard, ShardIteratorType="LATEST") == ([], None)
        first = found[0]["ApproximateArrivalTimestamp"]
        assert read_all(shard, ShardIteratorType="AT_TIMESTAMP", Timestamp=first)[0] == found
    fails("InvalidArgumentException", kinesis.put_record, StreamName=NAME, PartitionKey="a", Data=b"",
          ExplicitHashKey="x")
    fails("InvalidArgumentException", kinesis.put_record, StreamName=NAME, PartitionKey="a", Data=b"x" * 2**20)
    fails("ValidationException", kinesis.put_record, StreamName=NAME, PartitionKey="k" * 257, Data=b"")
    fails("ValidationException", kinesis.put_records, StreamName=NAME, Records=entries * 6)
    big = [{"Data": b"x" * 1_000_000, "PartitionKey": "k"}] * 11
    fails("InvalidArgumentException", kinesis.put_records, StreamName=NAME, Records=big)
    fails("InvalidArgumentException", kinesis.get_records, ShardIterator="nonsense")
    fails("ResourceNotFoundException", kinesis.get_shard_iterator, StreamName=NAME,
          ShardId="shardId-000000000009", ShardIteratorType="LATEST")
    fails("InvalidArgumentException", kinesis.get_shard_iterator, StreamName=NAME, ShardId="shardId-000000000000",
          ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=two["SequenceNumber"])


def resharding():
    parent = shards()[0]
    middle = int(parent["HashKeyRange"]["EndingHashKey"]) // 2
    before, _ = read_all(parent["ShardId"])
    fails("InvalidArgumentException", kinesis.split_shard, StreamName=NAME, ShardToSplit=parent["ShardId"],
          NewStartingHashKey="0")
    kinesis.split_shard(StreamName=NAME, ShardToSplit=parent["ShardId"], NewStartingHashKey=str(middle))
    fails("InvalidArgumentException", kinesis.split_shard, StreamName=NAME, ShardToSplit=parent["ShardId"],
          NewStartingHashKey=str(middle))
    found, children = read_all(parent["ShardId"])
    assert found == before
    assert [c["ShardId"] for c in children] == ["shardId-000000000002", "shardId-000000000003"]
    assert all(c["ParentShards"] == [parent["ShardId"]] for c in children)
    listed = {s["ShardId"]: s for s in shards()}
    ending = int(listed[parent["ShardId"]]["SequenceNumberRange"]["EndingSequenceNumber"])
    for child in children:
        child = listed[child["ShardId"]]
        assert child["ParentShardId"] == parent["ShardId"]
        assert int(child["SequenceNumberRange"]["StartingSequenceNumber"]) > ending
    kinesis.merge_shards(StreamName=NAME, ShardToMerge="shardId-000000000002",
                         AdjacentShardToMerge="shardId-000000000003")
    merged = shards()[4]
    assert merged["HashKeyRange"] == parent["HashKeyRange"]
    assert merged["AdjacentParentShardId"] == "shardId-000000000003"
    latest = shards(ShardFilter={"Type": "AT_LATEST"})
    assert [s["ShardId"][-1] for s in latest] == ["1", "4"]
    assert len(shards(ShardFilter={"Type": "FROM_TRIM_HORIZON"})) == 5
    assert [s["ShardId"][-1] for s in shards(ShardFilter={"Type": "AT_TRIM_HORIZON"})] == ["0", "1"]
    after = shards(ShardFilter={"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000002"})
    assert [s["ShardId"][-1] for s in after] == ["3", "4"]
    assert len(shards(ExclusiveStartShardId="shardId-000000000001")) == 3
    page = kinesis.list_shards(StreamName=NAME, MaxResults=2)
    paged = page["Shards"]
    # As at the service, a token stands alone; boto3's own paginator repeats the name and is refused.
    fails("InvalidArgumentException", kinesis.list_shards, StreamName=NAME, NextToken=page["NextToken"])
    while "NextToken" in page:
        page = kinesis.list_shards(NextToken=page["NextToken"], MaxResults=2)
        paged += page["Shards"]
    assert paged == shards()


def scaling():
    name = NAME + "-scaled"
    kinesis.create_stream(StreamName=name, ShardCount=2)
    arn = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    puts = [kinesis.put_record(StreamName=name, PartitionKey=f"k{i}", Data=b"x") for i in range(20)]

    def scale(target, **more):
        return kinesis.update_shard_count(StreamName=name, TargetShardCount=target, ScalingType="UNIFORM_SCALING", **more)

    def open_ranges():
        shards = kinesis.list_shards(StreamName=name, ShardFilter={"Type": "AT_LATEST"})["Shards"]
        return sorted((int(s["HashKeyRange"]["StartingHashKey"]), int(s["HashKeyRange"]["EndingHashKey"])) for s in shards)

    for target in (4, 3, 6, 5):
        before = len(open_ranges())
        answer = scale(target)
        assert (answer["CurrentShardCount"], answer["TargetShardCount"]) == (before, target)
        assert answer["StreamARN"] == arn and answer["StreamName"] == name
        ranges = open_ranges()
        assert ranges[0][0] == 0 and ranges[-1][1] == 2**128 - 1 and len(ranges) == target
        assert all(a[1] + 1 == b[0] for a, b in zip(ranges, ranges[1:]))
        widths = [b - a for a, b in ranges]
        assert max(widths) - min(widths) <= target
        kinesis.get_waiter("stream_exists").wait(StreamName=name)
    fails("InvalidArgumentException", scale, target=11)
    fails("InvalidArgumentException", scale, target=2)
    fails("ResourceNotFoundException", kinesis.update_shard_count, StreamName="nowhere", TargetShardCount=1,
          ScalingType="UNIFORM_SCALING")
    for _ in range(6):
        scale(5)
    fails("LimitExceededException", scale, target=5)
    kept = [r["SequenceNumber"] for s in kinesis.list_shards(StreamName=name)["Shards"]
            for r in kinesis.get_records(ShardIterator=kinesis.get_shard_iterator(
                StreamName=name, ShardId=s["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"])["Records"]]
    assert sorted(kept) == sorted(p["SequenceNumber"] for p in puts)
    kinesis.delete_stream(StreamName=name)


def subscribe(arn, shard, **position):
    position = position or {"Type": "TRIM_HORIZON"}
    return kinesis.subscribe_to_shard(ConsumerARN=arn, ShardId=shard, StartingPosition=position)["EventStream"]


def fan_out(stream_arn):
    consumer = kinesis.register_stream_consumer(StreamARN=stream_arn, ConsumerName="fan")["Consumer"]
    fails("ResourceInUseException", kinesis.register_stream_consumer, StreamARN=stream_arn, ConsumerName="fan")
    arn = consumer["ConsumerARN"]
    described = kinesis.describe_stream_consumer(ConsumerARN=arn)["ConsumerDescription"]
    assert described["ConsumerStatus"] == "ACTIVE" and described["StreamARN"] == stream_arn
    assert kinesis.describe_stream_consumer(StreamARN=stream_arn, ConsumerName="fan")["ConsumerDescription"] == described
    assert [c["ConsumerARN"] for c in kinesis.list_stream_consumers(StreamARN=stream_arn)["Consumers"]] == [arn]
    fails("ResourceNotFoundException", subscribe, arn=arn + "1", shard="shardId-000000000001")
    fails("ResourceNotFoundException", subscribe, arn=arn, shard="shardId-000000000077")

    # A closed shard: all its records, then its children without a continuation, then the end.
    events = [e["SubscribeToShardEvent"] for e in subscribe(arn, "shardId-000000000000")]
    got = [r for e in events for r in e["Records"]]
    assert got == read_all("shardId-000000000000")[0]
    assert [c["ShardId"][-1] for c in events[-1]["ChildShards"]] == ["2", "3"]
    assert "ContinuationSequenceNumber" not in events[-1]
    assert all("ChildShards" not in e and e["ContinuationSequenceNumber"] for e in events[:-1])

    # An open shard: history, then what comes, at once; and an empty event while it is idle.
    open_shard = "shardId-000000000001"
    stream = subscribe(arn, open_shard)
    began = time.monotonic()
    message = fails("ResourceInUseException", subscribe, arn=arn, shard=open_shard)
    assert "Another active subscription exists for this consumer: " in message, message
    fails("LimitExceededException", subscribe, arn=arn, shard=open_shard)
    reader = iter(stream)
    history = next(reader)["SubscribeToShardEvent"]
    assert history["Records"] == read_all(open_shard)[0] and history["MillisBehindLatest"] == 0
    sent = time.monotonic()
    put = kinesis.put_record(StreamName=NAME, PartitionKey="k", ExplicitHashKey=str(2**128 - 1), Data=b"live")
    live = next(reader)["SubscribeToShardEvent"]
    assert [r["SequenceNumber"] for r in live["Records"]] == [put["SequenceNumber"]]
    assert time.monotonic() - sent < 1, "a record is pushed at once"
    idle = next(reader)["SubscribeToShardEvent"]
    assert idle["Records"] == [] and idle["MillisBehindLatest"] == 0
    assert int(idle["ContinuationSequenceNumber"]) > int(live["ContinuationSequenceNumber"])

    # Five seconds after the first call the next one takes over, from a continuation that is no record's number.
    assert time.monotonic() - began >= 5
    second = iter(subscribe(arn, open_shard, Type="AFTER_SEQUENCE_NUMBER",
                            SequenceNumber=idle["ContinuationSequenceNumber"]))
    try:
        list(reader)
        raise AssertionError("the older subscription ended without an error")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ResourceInUseException", error
    assert next(second)["SubscribeToShardEvent"]["Records"] == []
    put = kinesis.put_record(StreamName=NAME, PartitionKey="k", ExplicitHashKey=str(2**128 - 1), Data=b"again")
    assert next(second)["SubscribeToShardEvent"]["Records"][0]["SequenceNumber"] == put["SequenceNumber"]

    fails("ResourceInUseException", kinesis.delete_stream, StreamName=NAME)
    kinesis.deregister_stream_consumer(ConsumerARN=arn)
    try:
        list(second)
        raise AssertionError("the subscription of a deregistered consumer ended without an error")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ResourceNotFoundException", error
    fails("ResourceNotFoundException", kinesis.describe_stream_consumer, ConsumerARN=arn)


def delivery():
    assert firehose.create_delivery_stream(DeliveryStreamName=NAME)["DeliveryStreamARN"].endswith(NAME)
    fails("ResourceInUseException", firehose.create_delivery_stream, DeliveryStreamName=NAME)
    described = firehose.describe_delivery_stream(DeliveryStreamName=NAME)["DeliveryStreamDescription"]
    assert described["DeliveryStreamStatus"] == "ACTIVE"
    assert NAME in firehose.list_delivery_streams(Limit=100)["DeliveryStreamNames"]
    assert firehose.put_record(DeliveryStreamName=NAME, Record={"Data": b"first"})["RecordId"]
    batch = [{"Data": b"%d" % i} for i in range(500)]
    answer = firehose.put_record_batch(DeliveryStreamName=NAME, Records=batch)
    assert answer["FailedPutCount"] == 0 and len({r["RecordId"] for r in answer["RequestResponses"]}) == 500
    fails("InvalidArgumentException", firehose.put_record_batch, DeliveryStreamName=NAME, Records=batch + batch[:1])
    fails("InvalidArgumentException", firehose.put_record, DeliveryStreamName=NAME,
          Record={"Data": b"x" * (1000 * 1024 + 1)})
    fails("ResourceNotFoundException", firehose.put_record, DeliveryStreamName="nowhere", Record={"Data": b""})
    with urllib.request.urlopen(f"{ENDPOINT}/_pelton/firehose/{NAME}") as response:
        lines = [base64.b64decode(json.loads(line)["Data"]) for line in response]
    assert lines == [b"first"] + [r["Data"] for r in batch]


def main():
    stream_arn = streams()
    records()
    resharding()
    scaling()
    fan_out(stream_arn)
    delivery()
    kinesis.delete_stream(StreamName=NAME)
    fails("ResourceNotFoundException", kinesis.describe_stream_summary, StreamName=NAME)
    print("boto3: every call as expected")


main()
