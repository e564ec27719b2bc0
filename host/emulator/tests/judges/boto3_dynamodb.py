"""Uses every DynamoDB call of the emulator through boto3 and checks the outcomes: boto3_dynamodb.py ENDPOINT"""

import sys
import threading
import uuid
from decimal import Decimal

import boto3
from boto3.dynamodb.conditions import Attr, Key
from botocore.config import Config
from botocore.exceptions import ClientError

OPTIONS = dict(endpoint_url=sys.argv[1].rstrip("/"), region_name="us-east-1", aws_access_key_id="x",
               aws_secret_access_key="y", config=Config(retries={"total_max_attempts": 1}))
client = boto3.client("dynamodb", **OPTIONS)
NAME = "judge-" + uuid.uuid4().hex[:8]
INDEX = "LeaseOwnerToLeaseKeyIndex"


def fails(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, f"{error}, wanted {code}"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert error.response["ResponseMetadata"]["RequestId"]
        return error.response
    raise AssertionError(f"{call.__name__}({arguments}) did not fail with {code}")


def tables():
    definition = dict(TableName=NAME, BillingMode="PAY_PER_REQUEST",
                      KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
                      AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}])
    assert client.create_table(**definition)["TableDescription"]["TableName"] == NAME
    fails("ResourceInUseException", client.create_table, **definition)
    fails("ValidationException", client.create_table, **{**definition, "TableName": "a b"})
    fails("ResourceNotFoundException", client.describe_table, TableName="nowhere")
    client.get_waiter("table_exists").wait(TableName=NAME)
    assert NAME in [n for p in client.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 1})
                    for n in p["TableNames"]]
    index = {"IndexName": INDEX, "Projection": {"ProjectionType": "KEYS_ONLY"},
             "KeySchema": [{"AttributeName": "leaseOwner", "KeyType": "HASH"},
                           {"AttributeName": "leaseKey", "KeyType": "RANGE"}]}
    attributes = definition["AttributeDefinitions"] + [{"AttributeName": "leaseOwner", "AttributeType": "S"}]
    client.update_table(TableName=NAME, AttributeDefinitions=attributes,
                        GlobalSecondaryIndexUpdates=[{"Create": index}])
    described = client.describe_table(TableName=NAME)["Table"]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert described["KeySchema"] == definition["KeySchema"]
    assert [(i["IndexName"], i["IndexStatus"]) for i in described["GlobalSecondaryIndexes"]] == [(INDEX, "ACTIVE")]
    assert client.describe_time_to_live(TableName=NAME)["TimeToLiveDescription"]["TimeToLiveStatus"] == "DISABLED"
    backups = client.update_continuous_backups(
        TableName=NAME, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True})
    backups = backups["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert backups["PointInTimeRecoveryStatus"] == "ENABLED"
    assert client.list_tags_of_resource(ResourceArn=described["TableArn"])["Tags"] == []


def items():
    table = boto3.resource("dynamodb", **OPTIONS).Table(NAME)
    item = {"leaseKey": "shard", "leaseCounter": 7, "set": {"a", "b"}, "list": [1, "x", None, True],
            "map": {"n": Decimal("1.50"), "deep": {"z": [b"bytes"]}}, "empty": ""}
    table.put_item(Item=item, ConditionExpression=Attr("leaseKey").not_exists())
    assert table.get_item(Key={"leaseKey": "shard"}, ConsistentRead=True)["Item"] == item
    refused = fails("ConditionalCheckFailedException", client.put_item, TableName=NAME,
                    Item={"leaseKey": {"S": "shard"}}, ConditionExpression="attribute_not_exists(leaseKey)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert refused["Item"]["leaseCounter"] == {"N": "7"}
    new = table.update_item(
        Key={"leaseKey": "shard"}, ReturnValues="ALL_NEW",
        UpdateExpression="SET leaseCounter = leaseCounter + :one, leaseOwner = :me REMOVE #m.deep ADD #s :c DELETE #d :x",
        ExpressionAttributeNames={"#m": "map", "#s": "set", "#d": "gone"},
        ExpressionAttributeValues={":one": 1, ":me": "w1", ":c": {"c"}, ":x": {"x"}},
        ConditionExpression=Attr("leaseCounter").eq(7) & ~Attr("leaseOwner").exists())["Attributes"]
    assert new["leaseCounter"] == 8 and new["set"] == {"a", "b", "c"} and new["map"] == {"n": Decimal("1.5")}
    old = client.update_item(TableName=NAME, Key={"leaseKey": {"S": "shard"}}, ReturnValues="UPDATED_OLD",
                             Expected={"leaseOwner": {"Value": {"S": "w1"}}, "nothing": {"Exists": False}},
                             AttributeUpdates={"leaseCounter": {"Action": "ADD", "Value": {"N": "1"}}})
    assert old["Attributes"] == {"leaseCounter": {"N": "8"}}
    fails("ValidationException", client.update_item, TableName=NAME, Key={"leaseKey": {"S": "shard"}},
          Expected={"leaseOwner": {"Value": {"S": "w1"}}}, UpdateExpression="REMOVE leaseOwner")
    fails("ValidationException", client.update_item, TableName=NAME, Key={"leaseKey": {"S": "shard"}},
          UpdateExpression="REMOVE name")
    for i in range(30):
        table.put_item(Item={"leaseKey": f"s-{i:02}", "leaseOwner": f"w{i % 2}", "leaseCounter": i})
    found = table.query(IndexName=INDEX, KeyConditionExpression=Key("leaseOwner").eq("w1") & Key("leaseKey").begins_with("s-"))
    assert [i["leaseKey"] for i in found["Items"]] == [f"s-{i:02}" for i in range(1, 30, 2)]
    assert all(set(i) == {"leaseKey", "leaseOwner"} for i in found["Items"])
    pages = client.get_paginator("scan").paginate(TableName=NAME, PaginationConfig={"PageSize": 4},
                                                  FilterExpression="leaseCounter >= :n",
                                                  ExpressionAttributeValues={":n": {"N": "20"}})
    assert len([i for p in pages for i in p["Items"]]) == 10
    one = table.query(KeyConditionExpression=Key("leaseKey").eq("s-05"), ReturnConsumedCapacity="TOTAL")
    assert one["Count"] == 1 and one["ConsumedCapacity"]["TableName"] == NAME
    gone = table.delete_item(Key={"leaseKey": "s-05"}, ReturnValues="ALL_OLD",
                             ConditionExpression=Attr("leaseCounter").between(5, 6))
    assert gone["Attributes"]["leaseOwner"] == "w1"
    assert "Item" not in table.get_item(Key={"leaseKey": "s-05"})


def races():
    for counter in range(20):
        wins = []

        def take(me):
            mine = boto3.session.Session().client("dynamodb", **OPTIONS)
            try:
                mine.update_item(TableName=NAME, Key={"leaseKey": {"S": "race"}},
                                 UpdateExpression="SET leaseCounter = :next, leaseOwner = :me",
                                 ConditionExpression="attribute_not_exists(leaseCounter) OR leaseCounter = :seen",
                                 ExpressionAttributeValues={":next": {"N": str(counter + 1)}, ":me": {"S": me},
                                                            ":seen": {"N": str(counter)}})
                wins.append(me)
            except ClientError as error:
                assert error.response["Error"]["Code"] == "ConditionalCheckFailedException", error

        threads = [threading.Thread(target=take, args=(f"w{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        row = client.get_item(TableName=NAME, Key={"leaseKey": {"S": "race"}}, ConsistentRead=True)["Item"]
        assert wins == [row["leaseOwner"]["S"]], (wins, row)


def main():
    tables()
    items()
    races()
    client.update_table(TableName=NAME, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": INDEX}}])
    assert "GlobalSecondaryIndexes" not in client.describe_table(TableName=NAME)["Table"]
    client.delete_table(TableName=NAME)
    client.get_waiter("table_not_exists").wait(TableName=NAME)
    print("boto3: DynamoDB as expected")


main()
