"""A transformation of Amazon Data Firehose, as AWS Lambda runs it: nothing in this file knows of Pelton. Put your own in its place.

Views of pages: what robots ask for is dropped, slow answers are marked, what cannot be read has failed.
"""

import base64
import json

SLOW_MS = 1000


def lambda_handler(event, context):
    print(f"{len(event['records'])} records for {event['deliveryStreamArn']}")
    return {"records": [transformed(record) for record in event["records"]]}


def transformed(record):
    """The record's id, what became of it, and its new data in base64: the three things that Firehose asks for."""
    data = base64.b64decode(record["data"])
    try:
        view = json.loads(data)
    except ValueError:
        return {"recordId": record["recordId"], "result": "ProcessingFailed", "data": record["data"]}
    if view.get("robot"):
        return {"recordId": record["recordId"], "result": "Dropped", "data": record["data"]}
    made = {
        "page": view["page"],
        "ms": view["ms"],
        "slow": view["ms"] >= SLOW_MS,
        "visitor": record["kinesisRecordMetadata"]["partitionKey"],
    }
    # Firehose puts records one behind the other, so a function for it ends each with a new line. Here it does no harm.
    line = json.dumps(made) + "\n"
    return {"recordId": record["recordId"], "result": "Ok", "data": base64.b64encode(line.encode()).decode()}
