"""Asks for every fault and sees it as boto3 does: boto3_faults.py ENDPOINT"""

import json
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

ENDPOINT = sys.argv[1].rstrip("/")


def client(service, attempts=1, **more):
    config = Config(retries={"total_max_attempts": attempts, "mode": "standard"}, **more)
    return boto3.client(service, endpoint_url=ENDPOINT, region_name="us-east-1", aws_access_key_id="x",
                        aws_secret_access_key="y", config=config)


kinesis, firehose, dynamodb = client("kinesis"), client("firehose"), client("dynamodb")
NAME = "faults-" + uuid.uuid4().hex[:8]
SHARD = "shardId-000000000000"


def faults(method="GET", rules=None):
    body = None if rules is None else json.dumps(rules).encode()
    request = urllib.request.Request(f"{ENDPOINT}/_pelton/faults", data=body, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def rule(operation, fault, **more):
    return faults("POST", [{"operation": operation, "fault": fault, **more}])


def fired():
    return [r["fired"] for r in faults()]


def fails(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, f"{error}, wanted {code}"
        return error.response["ResponseMetadata"]["HTTPStatusCode"]
    raise AssertionError(f"the call did not fail with {code}")


def drops(call, **arguments):
    try:
        call(**arguments)
    except ConnectionClosedError:
        return
    raise AssertionError("the connection did not drop")


def put(data=b"x", call=kinesis):
    return call.put_record(StreamName=NAME, PartitionKey="k", Data=data)


def read(**start):
    start = start or {"ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(StreamName=NAME, ShardId=SHARD, **start)["ShardIterator"]
    return kinesis.get_records(ShardIterator=iterator)["Records"]


def data():
    return [r["Data"] for r in read()]


def rules():
    assert faults() == [] and rule("*", "fail", stream="other")[0]["fired"] == 0
    put(b"untouched")
    for bad, words in [([{"fault": "explode"}], "is no fault"), ({}, "a list of rules"),
                       ([{"operation": "Fly", "fault": "fail"}], "is no operation")]:
        try:
            faults("POST", bad)
            raise AssertionError(f"{bad} is taken")
        except urllib.error.HTTPError as error:
            assert error.code == 400 and words in json.loads(error.read())["message"]
    assert len(faults()) == 1, "what is refused changes nothing"
    assert faults("DELETE") == []


def errors():
    iterator = kinesis.get_shard_iterator(StreamName=NAME, ShardId=SHARD, ShardIteratorType="LATEST")["ShardIterator"]
    rule("*", "throttle")
    fails("ProvisionedThroughputExceededException", put)
    fails("ProvisionedThroughputExceededException", kinesis.get_records, ShardIterator=iterator)
    fails("LimitExceededException", kinesis.list_shards, StreamName=NAME)
    assert fails("ServiceUnavailableException", firehose.put_record, DeliveryStreamName=NAME, Record={"Data": b""}) == 503
    fails("ProvisionedThroughputExceededException", dynamodb.get_item, TableName=NAME, Key={"k": {"S": "a"}})
    fails("LimitExceededException", dynamodb.describe_table, TableName=NAME)
    rule("*", "fail")
    assert fails("InternalFailureException", put) == 500
    assert fails("InternalServerError", dynamodb.get_item, TableName=NAME, Key={"k": {"S": "a"}}) == 500
    rule("*", "access-denied")
    fails("AccessDeniedException", put)
    fails("AccessDeniedException", dynamodb.get_item, TableName=NAME, Key={"k": {"S": "a"}})
    rule("*", "expired-credentials")
    fails("ExpiredTokenException", put)
    fails("ExpiredTokenException", dynamodb.scan, TableName=NAME)
    rule("GetRecords", "expire-iterator", stream=NAME, shard=SHARD, next=1)
    fails("ExpiredIteratorException", kinesis.get_records, ShardIterator=iterator)
    kinesis.get_records(ShardIterator=iterator)
    assert fired() == [1]
    rule("PutRecord", "throttle", next=2)
    put(b"third try", client("kinesis", attempts=3))
    assert fired() == [2] and data() == [b"untouched", b"third try"]


def connections():
    before = data()
    rule("PutRecord", "reset", next=1)
    drops(put, data=b"never")
    assert data() == before
    rule("PutRecord", "apply-then-fail", next=1)
    drops(put, data=b"once")
    assert data() == before + [b"once"]
    rule("PutRecord", "apply-then-fail", next=1)
    put(b"twice", client("kinesis", attempts=2))
    assert data() == before + [b"once", b"twice", b"twice"], "a client that asks again repeats"
    rule("PutRecord", "delay 700", next=1)
    began = time.monotonic()
    put(b"late")
    assert 0.7 <= time.monotonic() - began < 5
    rule("PutRecord", "delay=3000", next=1)
    try:
        put(b"later", client("kinesis", read_timeout=1))
        raise AssertionError("no time-out")
    except ReadTimeoutError:
        pass
    faults("DELETE")


def partial():
    entries = [{"Data": b"%d" % i, "PartitionKey": "k"} for i in range(50)]
    before = data()
    rule("PutRecords", "partial", next=1, seed=5)
    answer = kinesis.put_records(StreamName=NAME, Records=entries)
    failed = [i for i, r in enumerate(answer["Records"]) if "ErrorCode" in r]
    assert 0 < len(failed) < 50 and answer["FailedRecordCount"] == len(failed)
    assert {answer["Records"][i]["ErrorCode"] for i in failed} == {"ProvisionedThroughputExceededException", "InternalFailure"}
    assert data() == before + [e["Data"] for i, e in enumerate(entries) if i not in failed]
    assert all(r["SequenceNumber"] for r in answer["Records"] if "ErrorCode" not in r)
    rule("*", "partial", next=1)
    answer = firehose.put_record_batch(DeliveryStreamName=NAME, Records=[{"Data": b"x"}] * 10)
    failed = [r for r in answer["RequestResponses"] if "ErrorCode" in r]
    assert 0 < len(failed) < 10 and answer["FailedPutCount"] == len(failed)
    assert all("RecordId" in r for r in answer["RequestResponses"] if "ErrorCode" not in r)


def trimmed():
    first = read()[0]["SequenceNumber"]
    start = dict(ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=first)
    rule("GetShardIterator", "trimmed:not-found", next=1)
    assert read(), "a reader that names no number is not meant"
    fails("ResourceNotFoundException", read, **start)
    rule("GetShardIterator", "trimmed:invalid", next=1)
    fails("InvalidArgumentException", read, **start)
    rule("GetShardIterator", "trimmed:silent", next=1)
    assert read(**start) == [] and read(**start) != []
    assert fired() == [1]


def subscribe(arn, **position):
    # Five seconds after a subscription the next one is admitted.
    time.sleep(max(0.0, subscribe.next - time.monotonic()))
    position = position or {"Type": "TRIM_HORIZON"}
    stream = kinesis.subscribe_to_shard(ConsumerARN=arn, ShardId=SHARD, StartingPosition=position)["EventStream"]
    subscribe.next = time.monotonic() + 5.1
    return iter(stream)


subscribe.next = 0.0


def subscriptions(stream_arn):
    arn = kinesis.register_stream_consumer(StreamARN=stream_arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    rule("SubscribeToShard", "reset", next=1)
    drops(kinesis.subscribe_to_shard, ConsumerARN=arn, ShardId=SHARD, StartingPosition={"Type": "LATEST"})
    rule("SubscribeToShard", "duplicate-event", next=1)
    events = subscribe(arn)
    assert next(events) == next(events)
    rule("SubscribeToShard", "reset-event", next=1)
    put(b"wakes")
    try:
        next(events)
        raise AssertionError("the subscription goes on")
    except ClientError:
        raise
    except Exception as error:  # the transport's own, which depends on how the bytes were cut
        assert type(error).__module__.split(".")[0] in ("urllib3", "botocore", "http"), repr(error)
    assert fired() == [1]
    rule("SubscribeToShard", "stall", next=1)
    events = subscribe(arn, Type="LATEST")
    seen = []
    silent = threading.Thread(target=lambda: seen.append(next(events, None)), daemon=True)
    silent.start()
    time.sleep(0.5)
    put(b"unheard")
    silent.join(timeout=6)
    assert silent.is_alive() and seen == [] and fired() == [1]
    first = read()[0]["SequenceNumber"]
    rule("SubscribeToShard", "trimmed:silent", next=1)
    events = subscribe(arn, Type="AFTER_SEQUENCE_NUMBER", SequenceNumber=first)
    assert next(events)["SubscribeToShardEvent"]["Records"] == []
    return arn


def tables():
    key = {"k": {"S": "a"}}
    bump = dict(TableName=NAME, Key=key, UpdateExpression="ADD n :one", ExpressionAttributeValues={":one": {"N": "1"}})
    number = lambda: dynamodb.get_item(TableName=NAME, Key=key, ConsistentRead=True)["Item"]["n"]["N"]
    dynamodb.update_item(**bump)
    rule("UpdateItem", "reset", next=1, stream=NAME)
    drops(dynamodb.update_item, **bump)
    assert number() == "1"
    rule("DynamoDB.*", "apply-then-fail", next=1)
    drops(dynamodb.update_item, **bump)
    assert number() == "2"
    rule("UpdateItem", "delay=500", next=1)
    began = time.monotonic()
    dynamodb.update_item(**bump)
    assert time.monotonic() - began >= 0.5
    rule("*", "lost-condition", next=1)
    dynamodb.update_item(**bump)
    values = {":one": {"N": "1"}, ":seen": {"N": "4"}}
    once = {**bump, "ConditionExpression": "n = :seen", "ExpressionAttributeValues": values}
    fails("ConditionalCheckFailedException", client("dynamodb", attempts=3).update_item, **once)
    assert number() == "5" and fired() == [1], "the write was done, and its repetition refused"


def stream_made_again(arn):
    """Deleting and making a stream again ends a subscription of the old one, and no event of the new one comes to it."""
    faults("DELETE")
    events = subscribe(arn, Type="LATEST")
    next(events)
    kinesis.delete_stream(StreamName=NAME, EnforceConsumerDeletion=True)
    kinesis.create_stream(StreamName=NAME, ShardCount=1)
    put(b"of the new stream")
    try:
        raise AssertionError(f"the old subscription gives {next(events)}")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ResourceNotFoundException", error
    assert data() == [b"of the new stream"]


def main():
    kinesis.create_stream(StreamName=NAME, ShardCount=1)
    firehose.create_delivery_stream(DeliveryStreamName=NAME)
    dynamodb.create_table(TableName=NAME, BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
                          AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}])
    rules()
    errors()
    connections()
    partial()
    trimmed()
    arn = kinesis.describe_stream_summary(StreamName=NAME)["StreamDescriptionSummary"]["StreamARN"]
    consumer = subscriptions(arn)
    tables()
    stream_made_again(consumer)
    print("boto3: every fault as expected")


main()
