"""Uses every call of the emulator's Glue through boto3 and checks the outcomes: boto3_glue.py ENDPOINT"""

import json
import sys
import uuid
from datetime import datetime

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

glue = boto3.client("glue", endpoint_url=sys.argv[1].rstrip("/"), region_name="us-east-1", aws_access_key_id="x",
                    aws_secret_access_key="y", config=Config(retries={"total_max_attempts": 1}))
# A second run finds what the first one left.
REGISTRY = "judge-" + uuid.uuid4().hex[:8]
USED = set()
A = {"name": "a", "type": "int"}
B = {"name": "b", "type": "string", "default": ""}


def call(name, **arguments):
    USED.add(name)
    return getattr(glue, name)(**arguments)


def fails(code, name, **arguments):
    try:
        call(name, **arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, f"{error}, wanted {code}"
        assert error.response["Error"]["Message"]
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
        assert error.response["ResponseMetadata"]["RequestId"]
        # The client knows the error as one of the model's.
        assert isinstance(error, getattr(glue.exceptions, code))
        return error.response["Error"]["Message"]
    raise AssertionError(f"{name}({arguments}) did not fail with {code}")


def record(*fields):
    return json.dumps({"type": "record", "name": "R", "fields": list(fields)})


def schema_id(name):
    return {"RegistryName": REGISTRY, "SchemaName": name}


def create(name, compatibility, definition, data_format="AVRO"):
    return call("create_schema", RegistryId={"RegistryName": REGISTRY}, SchemaName=name, DataFormat=data_format,
                Compatibility=compatibility, SchemaDefinition=definition)


def register(name, definition):
    return call("register_schema_version", SchemaId=schema_id(name), SchemaDefinition=definition)


def registries():
    made = call("create_registry", RegistryName=REGISTRY, Description="of a judge", Tags={"a": "b"})
    assert made["RegistryName"] == REGISTRY and made["Tags"] == {"a": "b"} and made["Description"] == "of a judge"
    assert made["RegistryArn"].startswith("arn:aws:glue:us-east-1:") and made["RegistryArn"].endswith("registry/" + REGISTRY)
    fails("AlreadyExistsException", "create_registry", RegistryName=REGISTRY)
    fails("InvalidInputException", "create_registry", RegistryName="a b")
    for registry in {"RegistryName": REGISTRY}, {"RegistryArn": made["RegistryArn"]}:
        shown = call("get_registry", RegistryId=registry)
        assert shown["Status"] == "AVAILABLE" and shown["RegistryName"] == REGISTRY
        datetime.fromisoformat(shown["CreatedTime"].replace("Z", "+00:00"))
    assert call("get_registry", RegistryId={"RegistryName": "default-registry"})["Status"] == "AVAILABLE"
    fails("EntityNotFoundException", "get_registry", RegistryId={"RegistryName": "nowhere"})
    call("update_registry", RegistryId={"RegistryName": REGISTRY}, Description="changed")
    USED.add("list_registries")
    listed = [r for p in glue.get_paginator("list_registries").paginate(PaginationConfig={"PageSize": 1})
              for r in p["Registries"]]
    assert {r["RegistryName"]: r.get("Description") for r in listed}[REGISTRY] == "changed"


def schemas():
    made = create("orders", "BACKWARD", record(A))
    assert (made["SchemaCheckpoint"], made["LatestSchemaVersion"], made["NextSchemaVersion"]) == (1, 1, 2)
    assert made["SchemaStatus"] == made["SchemaVersionStatus"] == "AVAILABLE"
    assert made["DataFormat"] == "AVRO" and made["Compatibility"] == "BACKWARD"
    uuid.UUID(made["SchemaVersionId"])
    fails("AlreadyExistsException", "create_schema", RegistryId={"RegistryName": REGISTRY}, SchemaName="orders",
          DataFormat="AVRO", Compatibility="NONE", SchemaDefinition=record(A))
    fails("InvalidInputException", "create_schema", RegistryId={"RegistryName": REGISTRY}, SchemaName="bad",
          DataFormat="AVRO", Compatibility="NONE", SchemaDefinition='{"type":')
    fails("EntityNotFoundException", "create_schema", RegistryId={"RegistryName": "nowhere"}, SchemaName="s",
          DataFormat="AVRO", Compatibility="NONE", SchemaDefinition=record(A))
    for schema in schema_id("orders"), {"SchemaArn": made["SchemaArn"]}:
        shown = call("get_schema", SchemaId=schema)
        assert shown["SchemaName"] == "orders" and shown["SchemaCheckpoint"] == 1 and shown["CreatedTime"]
    assert fails("EntityNotFoundException", "get_schema", SchemaId=schema_id("x")).startswith("Schema is not found.")
    create("other", "NONE", record(A))
    USED.add("list_schemas")
    pages = glue.get_paginator("list_schemas")
    config = {"PaginationConfig": {"PageSize": 1}}
    listed = [s["SchemaName"] for p in pages.paginate(RegistryId={"RegistryName": REGISTRY}, **config) for s in p["Schemas"]]
    assert listed == ["orders", "other"], listed
    everywhere = [(s["RegistryName"], s["SchemaName"]) for p in pages.paginate(**config) for s in p["Schemas"]]
    assert (REGISTRY, "orders") in everywhere
    assert call("delete_schema", SchemaId=schema_id("other"))["Status"] == "DELETING"
    fails("EntityNotFoundException", "delete_schema", SchemaId=schema_id("other"))
    # Definitions of other formats are kept, and not compared.
    create("json", "NONE", '{"type":"object"}', "JSON")
    create("proto", "NONE", 'syntax = "proto3"; message A {}', "PROTOBUF")
    assert register("json", '{"type":"string"}')["Status"] == "AVAILABLE"
    create("compared", "BACKWARD", '{"type":"object"}', "JSON")
    fails("InvalidInputException", "register_schema_version", SchemaId=schema_id("compared"), SchemaDefinition="true")


def versions():
    first = call("get_schema_version", SchemaId=schema_id("orders"), SchemaVersionNumber={"VersionNumber": 1})
    assert first["SchemaDefinition"] == record(A) and first["DataFormat"] == "AVRO" and first["Status"] == "AVAILABLE"
    assert register("orders", record(A))["VersionNumber"] == 1
    second = register("orders", record(A, B))
    assert (second["VersionNumber"], second["Status"]) == (2, "AVAILABLE"), second
    bad = register("orders", record(A, {"name": "c", "type": "int"}))
    assert (bad["VersionNumber"], bad["Status"]) == (3, "FAILURE"), bad
    assert call("get_schema_version", SchemaVersionId=bad["SchemaVersionId"])["Status"] == "FAILURE"
    latest = call("get_schema_version", SchemaId=schema_id("orders"), SchemaVersionNumber={"LatestVersion": True})
    assert latest["SchemaVersionId"] == second["SchemaVersionId"] and latest["VersionNumber"] == 2
    found = call("get_schema_by_definition", SchemaId=schema_id("orders"), SchemaDefinition=record(A, B))
    assert found["SchemaVersionId"] == second["SchemaVersionId"] and found["Status"] == "AVAILABLE"
    words = fails("EntityNotFoundException", "get_schema_by_definition", SchemaId=schema_id("orders"),
                  SchemaDefinition=record(B))
    assert words.startswith("Schema version is not found."), words
    fails("EntityNotFoundException", "get_schema_version", SchemaVersionId=str(uuid.uuid4()))
    fails("InvalidInputException", "get_schema_version", SchemaVersionId=first["SchemaVersionId"],
          SchemaId=schema_id("orders"))
    fails("InvalidInputException", "get_schema_version", SchemaId=schema_id("orders"),
          SchemaVersionNumber={"LatestVersion": True, "VersionNumber": 1})
    USED.add("list_schema_versions")
    pages = glue.get_paginator("list_schema_versions").paginate(SchemaId=schema_id("orders"),
                                                                PaginationConfig={"PageSize": 2})
    listed = [(v["VersionNumber"], v["Status"]) for p in pages for v in p["Schemas"]]
    assert listed == [(1, "AVAILABLE"), (2, "AVAILABLE"), (3, "FAILURE")], listed
    diff = call("get_schema_versions_diff", SchemaId=schema_id("orders"), FirstSchemaVersionNumber={"VersionNumber": 1},
                SecondSchemaVersionNumber={"LatestVersion": True}, SchemaDiffType="SYNTAX_DIFF")["Diff"]
    assert "b" in diff, diff
    assert call("check_schema_version_validity", DataFormat="AVRO", SchemaDefinition=record(A))["Valid"] is True
    checked = call("check_schema_version_validity", DataFormat="AVRO", SchemaDefinition='{"type":"nothing"}')
    assert checked["Valid"] is False and checked["Error"]


def compatibility():
    c = {"name": "c", "type": "int"}
    every = {
        # mode: a field with a default is added, a field is added, a field is taken away
        "NONE": "AAA", "BACKWARD": "AFA", "BACKWARD_ALL": "AFA", "FORWARD": "AAF", "FORWARD_ALL": "AAF",
        "FULL": "AFF", "FULL_ALL": "AFF",
    }
    for mode, wanted in every.items():
        name = "mode-" + mode
        create(name, mode, record(A))
        said = "".join(register(name, definition)["Status"][0] for definition in (record(A, B), record(A, c), record(c)))
        # The last one has what version 1 lacks too.
        wanted_last = {"NONE": "A"}.get(mode, "F")
        assert said[:2] + said[2] == wanted[:2] + wanted_last, (mode, said)
        empty = register(name, record())["Status"][0]
        assert empty == wanted[2], (mode, empty)
    create("mode-DISABLED", "DISABLED", record(A))
    fails("InvalidInputException", "register_schema_version", SchemaId=schema_id("mode-DISABLED"),
          SchemaDefinition=record(A, B))
    # What is compared is the checkpoint: moved to version 2, the default of b is needed no more.
    create("moved", "BACKWARD", record(A))
    register("moved", record(A, B))
    without = {"name": "b", "type": "string"}
    fails("InvalidInputException", "update_schema", SchemaId=schema_id("moved"), Compatibility="BACKWARD")
    fails("EntityNotFoundException", "update_schema", SchemaId=schema_id("moved"), SchemaVersionNumber={"VersionNumber": 9})
    updated = call("update_schema", SchemaId=schema_id("moved"), SchemaVersionNumber={"LatestVersion": True},
                   Compatibility="BACKWARD", Description="later")
    assert updated["SchemaName"] == "moved" and updated["RegistryName"] == REGISTRY
    shown = call("get_schema", SchemaId=schema_id("moved"))
    assert (shown["SchemaCheckpoint"], shown["Description"]) == (2, "later")
    assert register("moved", record(A, without))["Status"] == "AVAILABLE"


def metadata():
    second = call("get_schema_version", SchemaId=schema_id("orders"), SchemaVersionNumber={"LatestVersion": True})
    by_id = {"SchemaVersionId": second["SchemaVersionId"]}
    by_number = {"SchemaId": schema_id("orders"), "SchemaVersionNumber": {"VersionNumber": 2}}

    def pair(key, value):
        return {"MetadataKeyValue": {"MetadataKey": key, "MetadataValue": value}}

    put = call("put_schema_version_metadata", **by_id, **pair("owner", "us"))
    assert (put["MetadataKey"], put["MetadataValue"]) == ("owner", "us")
    call("put_schema_version_metadata", **by_number, **pair("owner", "them"))
    call("put_schema_version_metadata", **by_number, **pair("x-amz-meta-transport", "kinesis"))
    fails("AlreadyExistsException", "put_schema_version_metadata", **by_id, **pair("owner", "us"))
    fails("InvalidInputException", "put_schema_version_metadata", **by_id, **pair("own er", "us"))
    said = call("query_schema_version_metadata", **by_number)
    assert said["SchemaVersionId"] == second["SchemaVersionId"]
    owner = said["MetadataInfoMap"]["owner"]
    assert owner["MetadataValue"] == "them" and owner["OtherMetadataValueList"][0]["MetadataValue"] == "us"
    assert said["MetadataInfoMap"]["x-amz-meta-transport"]["CreatedTime"]
    only = call("query_schema_version_metadata", **by_id, MetadataList=[{"MetadataKey": "owner", "MetadataValue": "us"}])
    assert only["MetadataInfoMap"].keys() == {"owner"} and "OtherMetadataValueList" not in only["MetadataInfoMap"]["owner"]
    page = call("query_schema_version_metadata", **by_id, MaxResults=1)
    rest = call("query_schema_version_metadata", **by_id, MaxResults=1, NextToken=page["NextToken"])
    assert page["MetadataInfoMap"].keys() | rest["MetadataInfoMap"].keys() == {"owner", "x-amz-meta-transport"}
    call("remove_schema_version_metadata", **by_id, **pair("owner", "them"))
    fails("EntityNotFoundException", "remove_schema_version_metadata", **by_id, **pair("owner", "them"))
    for number in range(8):
        call("put_schema_version_metadata", **by_id, **pair("k", str(number)))
    fails("ResourceNumberLimitExceededException", "put_schema_version_metadata", **by_id, **pair("k", "8"))


def the_end():
    fails("InvalidInputException", "delete_schema_versions", SchemaId=schema_id("orders"), Versions="1")
    errors = call("delete_schema_versions", SchemaId=schema_id("orders"), Versions="2-3")["SchemaVersionErrors"]
    assert errors == [], errors
    errors = call("delete_schema_versions", SchemaId=schema_id("orders"), Versions="2")["SchemaVersionErrors"]
    assert errors[0]["VersionNumber"] == 2 and errors[0]["ErrorDetails"]["ErrorCode"] == "EntityNotFoundException"
    assert register("orders", record(A, B))["VersionNumber"] == 4, "numbers are never used again"
    assert call("delete_registry", RegistryId={"RegistryName": REGISTRY})["Status"] == "DELETING"
    fails("EntityNotFoundException", "get_schema", SchemaId=schema_id("orders"))


for part in registries, schemas, versions, compatibility, metadata, the_end:
    part()
print(len(USED), "calls")
