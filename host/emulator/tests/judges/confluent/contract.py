"""Confluent's own client uses a schema registry in every way that users of Avro do: contract.py URL [--without NAME,...]

It prints `ok NAME`, `skipped NAME` or `FAILED NAME: WHY` for each check, and exits with 1 if one failed. Each check works under subjects of
its own, so that a registry may be used again; only the global level is everybody's, and is put back.

What Apicurio 3.3.3 does in another way than Confluent's registry stands in APICURIO; `--without apicurio` leaves out all of that.
"""

import json
import sys
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient, topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

URL = sys.argv[1].rstrip("/")
RUN = uuid.uuid4().hex[:8]
CHECKS = {}
APICURIO = {
    "a_version_that_is_none": "it answers 404 and 40402",
    "subjects_by_prefix": "it answers with all subjects",
    "the_level_is_backward_at_first": "its level is NONE",
    "a_subject_without_a_level": "it answers NONE, even if the global level is another",
    "the_level_goes_with_the_subject": "it keeps the level",
    "with_nothing_all_is_compatible_with_all_versions": "it answers 404 and 40401 when asked about all versions",
    "only_the_latest_counts_when_asked": "it asks all versions, whatever the level",
    "a_version_is_deleted_once": "it answers 409 and 40406",
    "a_version_is_not_deleted_for_good_at_once": "it answers 409 and 40407",
    "a_subject_is_not_deleted_for_good_at_once": "it answers 409 and 40405",
    # which is an unknown path to it, and after one of these it sometimes never answers what comes next on the same connection
    "named_by_the_client": "it has no associations",
    "a_subject_to_be_read_only": "it keeps no modes",
}
LOCAL = threading.local()


def check(function):
    CHECKS[function.__name__] = function
    return function


def new_client():
    return SchemaRegistryClient({"url": URL, "max.retries": 0, "timeout": 30})


def client():
    """The thread's own. Clients keep what they were told, and would not ask again: this one forgets."""
    if not hasattr(LOCAL, "client"):
        LOCAL.client = new_client()
    LOCAL.client.clear_caches()
    return LOCAL.client


def subject(of, level="BACKWARD"):
    """A subject that no other check uses, with one version if there is a first schema."""
    name = f"{RUN}-{uuid.uuid4().hex[:8]}-value"
    if of is not None:
        client().register_schema(name, of)
        client().set_compatibility(name, level)
    return name


def record(*fields, name="Order"):
    """An Avro record; a field is (name, type) or (name, type, default). The run is part of it: no registry has seen it before."""
    made = [dict(zip(("name", "type", "default"), field)) for field in fields]
    return avro({"type": "record", "name": name, "namespace": f"judge.run{RUN}", "fields": made})


def avro(schema, references=()):
    return Schema(schema if isinstance(schema, str) else json.dumps(schema), "AVRO", list(references))


V1 = record(("id", "long"))
V2 = record(("id", "long"), ("note", "string", "none"))
V3 = record(("id", "long"), ("note", "string", "none"), ("price", ["null", "double"], None))
WRONG = record(("id", "string"))


def same(one, other):
    return json.loads(one.schema_str) == json.loads(other.schema_str)


def is_equal(found, wanted):
    assert found == wanted, f"{found!r}, wanted {wanted!r}"


def refused(status, code, call, *arguments, **named):
    try:
        answer = call(*arguments, **named)
    except SchemaRegistryError as error:
        is_equal((error.http_status_code, error.error_code), (status, code))
        assert error.error_message
        return
    raise AssertionError(f"answered {answer!r}, wanted {status} and {code}")


# Registration


@check
def register_gives_an_id():
    name = subject(None)
    number = client().register_schema(name, V1)
    assert isinstance(number, int) and number > 0, number
    assert name in client().get_subjects()


@check
def the_same_schema_has_the_same_id():
    name = subject(None)
    is_equal(len({client().register_schema(name, V1) for _ in range(3)}), 1)
    is_equal(client().get_versions(name), [1])


@check
def the_same_schema_has_the_same_id_under_another_subject():
    is_equal(client().register_schema(subject(None), V1), client().register_schema(subject(None), V1))


@check
def spaces_make_no_other_schema():
    name = subject(V1)
    spaced = avro(json.dumps(json.loads(V1.schema_str), indent=3))
    is_equal(client().register_schema(name, spaced), client().register_schema(name, V1))
    is_equal(client().get_versions(name), [1])


@check
def a_second_version():
    name = subject(V1)
    first, second = client().register_schema(name, V1), client().register_schema(name, V2)
    assert first != second
    is_equal(client().get_versions(name), [1, 2])


@check
def an_old_schema_again_is_its_old_version():
    name = subject(V1)
    first = client().register_schema(name, V1)
    client().register_schema(name, V2)
    is_equal(client().register_schema(name, V1), first)
    is_equal(client().get_versions(name), [1, 2])


@check
def an_incompatible_schema_is_refused():
    name = subject(V1)
    refused(409, 409, client().register_schema, name, WRONG)
    is_equal(client().get_versions(name), [1])


@check
def an_invalid_schema_is_refused():
    refused(422, 42201, client().register_schema, subject(None), avro({"type": "no such type"}))
    refused(422, 42201, client().register_schema, subject(None), avro("{"))


@check
def normalised_schemas_are_one():
    name = subject(None)
    fields = [{"type": {"type": "string"}, "name": "note", "default": "a"}, {"name": "id", "doc": "which", "type": "long"}]
    one = avro({"type": "record", "name": "Order", "namespace": f"judge.normal{RUN}", "fields": fields})
    turned = [dict(reversed(field.items())) for field in fields]
    other = avro({"fields": turned, "name": f"judge.normal{RUN}.Order", "type": "record"})
    number = client().register_schema(name, one, normalize_schemas=True)
    is_equal(client().register_schema(name, other, normalize_schemas=True), number)
    is_equal(client().lookup_schema(name, other, normalize_schemas=True).schema_id, number)
    is_equal(client().get_versions(name), [1])


@check
def registered_at_once_by_many_it_is_one():
    name, schema = subject(None), record(("at_once", "long"))
    with ThreadPoolExecutor(12) as threads:
        numbers = list(threads.map(lambda _: client().register_schema(name, schema), range(12)))
    is_equal(len(set(numbers)), 1)
    is_equal(client().get_versions(name), [1])


@check
def registered_at_once_under_many_subjects_it_is_one():
    names, schema = [subject(None) for _ in range(12)], record(("many_subjects", "long"))
    with ThreadPoolExecutor(12) as threads:
        numbers = list(threads.map(lambda name: client().register_schema(name, schema), names))
    is_equal(len(set(numbers)), 1)
    is_equal([client().get_versions(name) for name in names], [[1]] * 12)


@check
def registered_at_once_different_schemas_are_all_there():
    name = subject(V1)
    schemas = [record(("id", "long"), (f"other_{n}", "string", "")) for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(lambda schema: client().register_schema(name, schema), schemas))
    is_equal(len(set(numbers)), 8)
    is_equal(client().get_versions(name), list(range(1, 10)))


@check
def a_subject_may_have_any_name():
    name = f"{RUN}/a b+c%25:é?#.value"
    number = client().register_schema(name, V1)
    assert name in client().get_subjects()
    found = client().get_latest_version(name)
    is_equal((found.subject, found.version, found.schema_id), (name, 1, number))


# Finding


@check
def lookup():
    name = subject(V1)
    number = client().register_schema(name, V2)
    found = client().lookup_schema(name, V2)
    is_equal((found.subject, found.version, found.schema_id), (name, 2, number))
    assert same(found.schema, V2)
    refused(404, 40403, client().lookup_schema, name, V3)
    refused(404, 40401, client().lookup_schema, subject(None), V1)


@check
def versions():
    name = subject(V1)
    client().register_schema(name, V2)
    for version, schema in (1, V1), (2, V2), ("latest", V2):
        found = client().get_version(name, version)
        is_equal((found.subject, found.version), (name, 2 if version == "latest" else version))
        assert same(found.schema, schema)
    found = client().get_latest_version(name)
    is_equal((found.version, found.schema_id), (2, client().register_schema(name, V2)))


@check
def unknown_subjects_and_versions():
    name = subject(V1)
    refused(404, 40401, client().get_versions, subject(None))
    refused(404, 40401, client().get_latest_version, subject(None))
    refused(404, 40401, client().get_version, subject(None), 1)
    refused(404, 40402, client().get_version, name, 7)


@check
def a_version_that_is_none():
    name = subject(V1)
    refused(422, 42202, client().get_version, name, 0)
    refused(422, 42202, client().get_version, name, "first")


@check
def by_id():
    name = subject(None)
    number = client().register_schema(name, V2)
    found = client().get_schema(number)
    assert same(found, V2)
    assert found.schema_type in (None, "AVRO"), found.schema_type
    refused(404, 40403, client().get_schema, 2_000_000_000)


@check
def who_uses_an_id():
    schema = record(("who_uses", "long"))
    names = sorted(subject(schema) for _ in range(2))
    number = client().register_schema(names[0], schema)
    is_equal(sorted(client().get_subjects_by_schema_id(number)), names)
    found = client().get_schema_versions(number)
    is_equal(sorted((one.subject, one.version) for one in found), [(name, 1) for name in names])
    refused(404, 40403, client().get_schema_versions, 2_000_000_000)


@check
def subjects_by_prefix():
    names = [f"{RUN}-prefix-{n}" for n in range(3)]
    for name in names:
        client().register_schema(name, V1)
    is_equal(sorted(client().get_subjects(subject_prefix=f"{RUN}-prefix-")), names)


@check
def types_of_schemas():
    assert "AVRO" in client().get_schema_types()


@check
def schemas_of_other_types():
    dialect = "http://json-schema.org/draft-07/schema#"
    name, text = subject(None), json.dumps({"$schema": dialect, "type": "object", "title": RUN})
    client().register_schema(name, Schema(text, "JSON"))
    is_equal(client().get_latest_version(name).schema.schema_type, "JSON")
    name, text = subject(None), f'syntax = "proto3"; package judge{RUN}; message A {{ int32 a = 1; }}'
    client().register_schema(name, Schema(text, "PROTOBUF"))
    is_equal(client().get_latest_version(name).schema.schema_type, "PROTOBUF")


# References


def customer_and_order():
    """A schema that is registered, another that refers to it, and the subject of the first."""
    space = f"judge.refer{uuid.uuid4().hex[:8]}"
    customer = avro({"type": "record", "name": "Customer", "namespace": space, "fields": [{"name": "name", "type": "string"}]})
    name = subject(customer)
    order = {"type": "record", "name": "Order", "namespace": space, "fields": [{"name": "by", "type": f"{space}.Customer"}]}
    return name, avro(order, [SchemaReference(f"{space}.Customer", name, 1)])


@check
def references():
    customers, order = customer_and_order()
    name = subject(None)
    number = client().register_schema(name, order)
    wanted = [(order.references[0].name, customers, 1)]
    for schema in client().get_schema(number), client().get_latest_version(name).schema, client().lookup_schema(name, order).schema:
        assert same(schema, order), schema.schema_str
        is_equal([(one.name, one.subject, one.version) for one in schema.references], wanted)


@check
def who_refers_to_a_version():
    customers, order = customer_and_order()
    is_equal(client().get_referenced_by(customers, 1), [])
    number = client().register_schema(subject(None), order)
    is_equal(client().get_referenced_by(customers, 1), [number])


@check
def what_is_referred_to_stays():
    customers, order = customer_and_order()
    client().register_schema(subject(None), order)
    refused(422, 42206, client().delete_version, customers, 1)
    refused(422, 42206, client().delete_subject, customers)
    is_equal(client().get_versions(customers), [1])


@check
def a_reference_to_nothing_is_refused():
    customers, order = customer_and_order()
    order = avro(order.schema_str, [SchemaReference(order.references[0].name, customers, 9)])
    refused(422, 42201, client().register_schema, subject(None), order)
    refused(422, 42201, client().register_schema, subject(None), avro(order.schema_str))


@check
def serialised_with_references():
    customers, order = customer_and_order()
    write, read = AvroSerializer(new_client(), order, conf=NAMING), AvroDeserializer(new_client(), conf=NAMING)
    where = SerializationContext(subject(None), MessageField.VALUE)
    is_equal(read(write({"by": {"name": "Ada"}}, where), where), {"by": {"name": "Ada"}})


# Compatibility


@check
def the_level_is_backward_at_first():
    is_equal(FIRST_LEVEL, "BACKWARD")


@check
def level_of_a_subject():
    name = subject(V1)
    for level in "FULL", "NONE", "FORWARD_TRANSITIVE":
        client().set_compatibility(name, level)
        is_equal(client().get_compatibility(name), level)
    client().delete_config(name)
    client().set_compatibility(name, "BACKWARD")
    is_equal(client().get_compatibility(), "BACKWARD")


@check
def a_subject_without_a_level():
    name = subject(None)
    client().register_schema(name, V1)
    refused(404, 40408, client().get_compatibility, name)
    client().set_compatibility(name, "FULL")
    client().delete_config(name)
    refused(404, 40408, client().get_compatibility, name)


@check
def a_level_before_the_first_version():
    name = subject(None)
    client().set_compatibility(name, "FORWARD")
    client().register_schema(name, V2)
    is_equal(client().get_compatibility(name), "FORWARD")


@check
def the_global_level():
    name = subject(None)
    client().register_schema(name, V1)
    refused(409, 409, client().register_schema, name, WRONG)
    try:
        client().set_compatibility(level="NONE")
        is_equal(client().get_compatibility(), "NONE")
        client().register_schema(name, WRONG)
    finally:
        client().set_compatibility(level="BACKWARD")
    is_equal(client().get_versions(name), [1, 2])


@check
def no_such_level():
    refused(422, 42203, client().set_compatibility, subject(V1), "SIDEWARD")
    refused(422, 42203, client().set_compatibility, None, "SIDEWARD")


# WIDE reads NARROW; OPTIONAL and OTHER each read NARROW and are read by it, but not one the other
NARROW, WIDE = record(("n", "int")), record(("n", "long"))
OPTIONAL, OTHER = record(("n", "int"), ("m", "int", 0)), record(("n", "int"), ("m", "string", ""))
# (level, versions that are there, what comes, whether it may)
EVOLUTIONS = [
    ("NONE", [NARROW], WRONG, True),
    ("BACKWARD", [NARROW], WIDE, True),
    ("BACKWARD", [WIDE], NARROW, False),
    ("BACKWARD", [OPTIONAL, NARROW], OTHER, True),
    ("BACKWARD_TRANSITIVE", [OPTIONAL, NARROW], OTHER, False),
    ("BACKWARD_TRANSITIVE", [NARROW, OPTIONAL], WIDE, True),
    ("FORWARD", [WIDE], NARROW, True),
    ("FORWARD", [NARROW], WIDE, False),
    ("FORWARD", [OPTIONAL, NARROW], OTHER, True),
    ("FORWARD_TRANSITIVE", [OPTIONAL, NARROW], OTHER, False),
    ("FULL", [NARROW], OPTIONAL, True),
    ("FULL", [NARROW], WIDE, False),
    ("FULL", [WIDE], NARROW, False),
    ("FULL", [OPTIONAL, NARROW], OTHER, True),
    ("FULL_TRANSITIVE", [OPTIONAL, NARROW], OTHER, False),
]


def evolve(try_it, evolutions):
    for level, there, new, may in evolutions:
        name = subject(there[0], "NONE")
        for schema in there[1:]:
            client().register_schema(name, schema)
        client().set_compatibility(name, level)
        assert try_it(name, new) == may, f"{level}: {[one.schema_str for one in there]}, then {new.schema_str}: wanted {may}"


@check
def every_level_when_registered():
    def registers(name, schema):
        before = client().get_versions(name)
        try:
            client().register_schema(name, schema)
        except SchemaRegistryError as error:
            is_equal((error.http_status_code, error.error_code), (409, 409))
            is_equal(client().get_versions(name), before)
            return False
        is_equal(client().get_versions(name), before + [before[-1] + 1])
        return True

    evolve(registers, EVOLUTIONS)


@check
def every_level_when_asked():
    told = [one for one in EVOLUTIONS if "TRANSITIVE" in one[0] or len(one[1]) == 1]
    evolve(lambda name, schema: client().test_compatibility_all_versions(name, schema), told)


@check
def only_the_latest_counts_when_asked():
    told = [one for one in EVOLUTIONS if "TRANSITIVE" not in one[0] and len(one[1]) > 1]
    evolve(lambda name, schema: client().test_compatibility_all_versions(name, schema), told)


@check
def compatible_with_one_version():
    name = subject(V1)
    client().register_schema(name, V2)
    assert client().test_compatibility(name, V3)
    assert client().test_compatibility(name, V3, version=1)
    assert client().test_compatibility(name, V3, version=2, verbose=True)
    assert not client().test_compatibility(name, WRONG)
    assert not client().test_compatibility(name, WRONG, version=1, verbose=True)
    is_equal(client().get_versions(name), [1, 2])


@check
def compatible_with_one_old_version_alone():
    name = subject(OPTIONAL, "NONE")
    client().register_schema(name, NARROW)
    client().set_compatibility(name, "BACKWARD")
    assert client().test_compatibility(name, OTHER)
    assert not client().test_compatibility(name, OTHER, version=1)


@check
def compatible_with_what_is_not_there():
    name = subject(V1)
    refused(404, 40402, client().test_compatibility, name, V2, version=9)
    refused(422, 42201, client().test_compatibility, name, avro("{"))


@check
def with_nothing_all_is_compatible():
    assert client().test_compatibility(subject(None), V1)


@check
def with_nothing_all_is_compatible_with_all_versions():
    assert client().test_compatibility_all_versions(subject(None), V1)


# Deletion


@check
def delete_a_version():
    name = subject(V1)
    number = client().register_schema(name, V2)
    is_equal(client().delete_version(name, 2), 2)
    is_equal(client().get_versions(name), [1])
    is_equal(client().get_latest_version(name).version, 1)
    refused(404, 40402, client().get_version, name, 2)
    assert same(client().get_schema(number), V2)


@check
def a_deleted_version_is_kept_until_it_is_deleted_for_good():
    name = subject(V1)
    client().register_schema(name, V2)
    client().delete_version(name, 2)
    is_equal(client().get_versions(name, deleted=True), [1, 2])
    assert same(client().get_version(name, 2, deleted=True).schema, V2)
    is_equal(client().delete_version(name, 2, permanent=True), 2)
    is_equal(client().get_versions(name, deleted=True), [1])
    refused(404, 40402, client().delete_version, name, 2)


@check
def delete_a_subject():
    name = subject(V1)
    number = client().register_schema(name, V2)
    is_equal(client().delete_subject(name), [1, 2])
    assert name not in client().get_subjects()
    refused(404, 40401, client().get_versions, name)
    refused(404, 40401, client().get_latest_version, name)
    assert same(client().get_schema(number), V2)
    refused(404, 40401, client().delete_subject, subject(None))


@check
def a_deleted_subject_is_kept_until_it_is_deleted_for_good():
    name = subject(V1)
    client().delete_subject(name)
    refused(404, 40404, client().delete_subject, name)
    assert name in client().get_subjects(deleted=True)
    is_equal(client().get_versions(name, deleted=True), [1])
    is_equal(client().delete_subject(name, permanent=True), [1])
    assert name not in client().get_subjects(deleted=True)


@check
def a_version_is_deleted_once():
    name = subject(V1)
    client().register_schema(name, V2)
    client().delete_version(name, 2)
    refused(404, 40406, client().delete_version, name, 2)


@check
def a_version_is_not_deleted_for_good_at_once():
    name = subject(V1)
    refused(404, 40407, client().delete_version, name, 1, permanent=True)
    is_equal(client().get_versions(name), [1])


@check
def a_subject_is_not_deleted_for_good_at_once():
    name = subject(V1)
    refused(404, 40405, client().delete_subject, name, permanent=True)
    is_equal(client().get_versions(name), [1])


@check
def the_level_goes_with_the_subject():
    name = subject(V1, "FORWARD")
    client().delete_subject(name)
    refused(404, 40408, client().get_compatibility, name)


@check
def deleted_then_registered_again():
    name = subject(V1)
    number = client().register_schema(name, V1)
    client().delete_subject(name)
    is_equal(client().register_schema(name, V1), number)
    is_equal(client().get_versions(name), [2])


@check
def deleted_for_good_then_registered_again():
    name = subject(V1)
    client().register_schema(name, V2)
    client().delete_subject(name)
    client().delete_subject(name, permanent=True)
    client().register_schema(name, WRONG)
    is_equal(client().get_versions(name), [1])


@check
def what_is_deleted_does_not_count_for_compatibility():
    name = subject(WIDE)
    client().register_schema(name, record(("n", "double")))
    refused(409, 409, client().register_schema, name, record(("n", "float")))
    client().delete_version(name, 2)
    client().register_schema(name, record(("n", "float")))


# Serialised records

# else the client asks for associations first
NAMING = {"subject.name.strategy": topic_subject_name_strategy}


def place():
    return SerializationContext(subject(None).removesuffix("-value"), MessageField.VALUE)


@check
def serialised_and_read():
    where, value = place(), {"id": -7, "note": "añ中😀", "price": 1.5}
    data = AvroSerializer(new_client(), V3, conf=NAMING)(value, where)
    number = client().get_latest_version(where.topic + "-value").schema_id
    is_equal(data[:5], b"\x00" + number.to_bytes(4, "big"))
    is_equal(AvroDeserializer(new_client(), conf=NAMING)(data, where), value)


@check
def read_with_another_schema():
    where = place()
    data = AvroSerializer(new_client(), V1, conf=NAMING)({"id": 5}, where)
    is_equal(AvroDeserializer(new_client(), V3, conf=NAMING)(data, where), {"id": 5, "note": "none", "price": None})
    data = AvroSerializer(new_client(), V2, conf=NAMING)({"id": 6, "note": "x"}, where)
    is_equal(AvroDeserializer(new_client(), V1, conf=NAMING)(data, where), {"id": 6})


@check
def read_with_the_latest_schema():
    where = place()
    data = AvroSerializer(new_client(), V1, conf=NAMING)({"id": 5}, where)
    client().register_schema(where.topic + "-value", V2)
    read = AvroDeserializer(new_client(), conf={"use.latest.version": True, **NAMING})
    is_equal(read(data, where), {"id": 5, "note": "none"})


@check
def serialised_without_registering():
    where = place()
    write = AvroSerializer(new_client(), V1, conf={"auto.register.schemas": False, **NAMING})
    refused(404, 40401, write, {"id": 5}, where)
    number = client().register_schema(where.topic + "-value", V1)
    is_equal(write({"id": 5}, where), b"\x00" + number.to_bytes(4, "big") + b"\x0a")
    write = AvroSerializer(new_client(), None, conf={"auto.register.schemas": False, "use.latest.version": True, **NAMING})
    is_equal(write({"id": 5}, where), b"\x00" + number.to_bytes(4, "big") + b"\x0a")


@check
def named_by_the_client():
    # it asks for associations of the topic first, which most registries do not have
    where = place()
    data = AvroSerializer(new_client(), V1)({"id": 5}, where)
    is_equal(client().get_versions(where.topic + "-value"), [1])
    is_equal(AvroDeserializer(new_client())(data, where), {"id": 5})


@check
def of_an_id_that_is_not_there():
    refused(404, 40403, AvroDeserializer(new_client(), conf=NAMING), b"\x00" + (2_000_000_000).to_bytes(4, "big") + b"\x0a", place())


# Modes


@check
def the_mode_is_read_and_write():
    is_equal(client().get_global_mode(), "READWRITE")


@check
def a_subject_to_be_read_only():
    name = subject(V1)
    client().update_mode(name, "READONLY")
    is_equal(client().get_mode(name), "READONLY")
    refused(422, 42205, client().register_schema, name, V2)
    client().delete_mode(name)
    client().register_schema(name, V2)


def run(name, without):
    if name in without:
        print("skipped", name)
        return True
    try:
        CHECKS[name]()
        print("ok", name)
        return True
    except Exception as error:
        words = str(error).replace("\n", " ")
        print(f"FAILED {name}: {words if isinstance(error, AssertionError) else type(error).__name__ + ': ' + words}")
        return False


if __name__ == "__main__":
    flags = dict(zip(sys.argv[2::2], sys.argv[3::2]))
    without = set(filter(None, flags.pop("--without", "").split(",")))
    if "apicurio" in without:
        without = without - {"apicurio"} | set(APICURIO)
    assert not flags and without <= set(CHECKS), f"unknown: {flags or without - set(CHECKS)}"
    FIRST_LEVEL = client().get_compatibility()
    client().set_compatibility(level="BACKWARD")
    try:
        done = [run(name, without) for name in CHECKS]
    finally:
        client().set_compatibility(level=FIRST_LEVEL)
    sys.exit(0 if all(done) else 1)
