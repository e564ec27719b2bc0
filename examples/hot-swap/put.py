"""Puts payments into the stream at a steady pace: in each round one of every user, so that no retry can change the order of a user's own.

usage: put.py USERS ROUNDS ROUNDS_A_SECOND, with AWS_ENDPOINT_URL_KINESIS; its last rounds come slowly until the file out/swapped is there
"""
import base64, json, os, sys, time, urllib.request

from payments import cents, name


def put(records):
    while records:
        body = json.dumps({"StreamName": "payments", "Records": records}).encode()
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "Kinesis_20131202.PutRecords"}
        request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL_KINESIS"], body, headers)
        with urllib.request.urlopen(request) as response:
            answers = json.load(response)["Records"]
        # A shard takes a thousand records a second; what it refused comes again.
        records = [record for record, answer in zip(records, answers) if "ErrorCode" in answer]
        if records:
            time.sleep(0.05)


def payment(user, n):
    data = {"user": name(user), "n": n, "cents": cents(user, n), "put_ms": time.time_ns() // 1_000_000}
    return {"PartitionKey": name(user), "Data": base64.b64encode(json.dumps(data).encode()).decode()}


users, rounds, pace = map(int, sys.argv[1:])
due = time.monotonic()
for n in range(1, rounds + 1):
    put([payment(user, n) for user in range(users)])
    # A slow machine still has load at its last swap.
    is_slow = n > rounds * 0.95 and not os.path.exists("out/swapped")
    due += 1 if is_slow else 1 / pace
    time.sleep(max(0, due - time.monotonic()))
