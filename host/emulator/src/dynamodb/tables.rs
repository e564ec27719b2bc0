//! Calls about tables: CreateTable, DescribeTable, UpdateTable, DeleteTable, ListTables, and what the Kinesis Client Library
//! asks about them (time to live, continuous backups, tags).
//!
//! A table or an index is ACTIVE when the call that makes it answers, and gone when the call that deletes it answers. Tags,
//! encryption, classes and streams are accepted and ignored. There are no local secondary indexes.

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::error::{TableError, TableErrorKind, invalid, invalid_value};
use super::schema::{Definition, Index, Key, KeyAttribute, Projection};
use super::{Table, Tables, named, parse};
use crate::store::Millis;

const MAX_TABLES: usize = 1000;
const MAX_INDEXES: usize = 20;
const MAX_PAGE: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AttributeDefinition {
    attribute_name: String,
    attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct KeyElement {
    attribute_name: String,
    key_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireProjection {
    projection_type: Option<String>,
    non_key_attributes: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireIndex {
    index_name: String,
    key_schema: Vec<KeyElement>,
    projection: Option<WireProjection>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Throughput {
    read_capacity_units: u64,
    write_capacity_units: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IndexName {
    index_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IndexUpdate {
    create: Option<WireIndex>,
    update: Option<Json>,
    delete: Option<IndexName>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    table_name: Option<String>,
    attribute_definitions: Option<Vec<AttributeDefinition>>,
    key_schema: Option<Vec<KeyElement>>,
    global_secondary_indexes: Option<Vec<WireIndex>>,
    local_secondary_indexes: Option<Vec<Json>>,
    global_secondary_index_updates: Option<Vec<IndexUpdate>>,
    billing_mode: Option<String>,
    provisioned_throughput: Option<Throughput>,
    deletion_protection_enabled: Option<bool>,
}

type Answer = Result<Json, TableError>;

pub fn create(tables: &Tables, now: Millis, body: &Json) -> Answer {
    let request: Request = parse(body)?;
    let name = named(request.table_name.as_deref())?.to_owned();
    let attributes = request.attribute_definitions.unwrap_or_default();
    let key = key_of(&request.key_schema.unwrap_or_default(), &attributes)?;
    if request.local_secondary_indexes.is_some_and(|l| !l.is_empty()) {
        return Err(invalid("the emulator has no local secondary indexes: use a global one"));
    }
    let mut indexes: Vec<Index> = Vec::new();
    for wire in request.global_secondary_indexes.unwrap_or_default() {
        add_index(&mut indexes, &wire, &attributes)?;
    }
    all_used(&key, &indexes, &attributes)?;
    let definition = Definition {
        name: name.clone(),
        created: now,
        key,
        indexes,
        throughput: throughput(request.billing_mode.as_deref(), request.provisioned_throughput)?,
        protected: request.deletion_protection_enabled.unwrap_or(false),
        time_to_live: None,
        point_in_time: false,
    };
    let mut state = tables.lock();
    if state.contains_key(&name) {
        return Err(TableError::new(TableErrorKind::ResourceInUse, format!("Table already exists: {name}")));
    }
    if state.len() >= MAX_TABLES {
        let message = format!("the emulator holds {MAX_TABLES} tables, its limit: delete one");
        return Err(TableError::new(TableErrorKind::LimitExceeded, message));
    }
    let table = tables.make(definition)?;
    let description = described(&table);
    state.insert(name, table);
    Ok(json!({ "TableDescription": description }))
}

fn throughput(mode: Option<&str>, given: Option<Throughput>) -> Result<Option<(u64, u64)>, TableError> {
    match (mode, given) {
        (Some("PAY_PER_REQUEST"), None) => Ok(None),
        (Some("PAY_PER_REQUEST"), Some(_)) => Err(invalid_value(
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )),
        (Some("PROVISIONED") | None, Some(units)) => Ok(Some((units.read_capacity_units, units.write_capacity_units))),
        (Some("PROVISIONED") | None, None) => Err(invalid_value(
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        )),
        (Some(other), _) => Err(invalid(format!(
            "1 validation error detected: Value '{other}' at 'billingMode' failed to satisfy constraint: Member must \
             satisfy enum value set: [PROVISIONED, PAY_PER_REQUEST]"
        ))),
    }
}

fn key_of(schema: &[KeyElement], attributes: &[AttributeDefinition]) -> Result<Key, TableError> {
    let attribute = |element: &KeyElement| {
        let found = attributes.iter().find(|a| a.attribute_name == element.attribute_name);
        let found = found.ok_or_else(|| {
            invalid_value(format!(
                "Some index key attributes are not defined in AttributeDefinitions. Keys: [{}]",
                element.attribute_name
            ))
        })?;
        if !["S", "N", "B"].contains(&found.attribute_type.as_str()) {
            return Err(invalid("Member must satisfy enum value set: [B, N, S]"));
        }
        Ok(KeyAttribute { name: found.attribute_name.clone(), kind: found.attribute_type.clone() })
    };
    let (hash, range) = match schema {
        [hash] => (hash, None),
        [hash, range] => (hash, Some(range)),
        _ => return Err(invalid_value("a key schema has one or two elements")),
    };
    if hash.key_type != "HASH" || range.is_some_and(|r| r.key_type != "RANGE") {
        return Err(invalid("Invalid KeySchema: The first element is HASH, the second, if any, RANGE"));
    }
    if range.is_some_and(|r| r.attribute_name == hash.attribute_name) {
        return Err(invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name"));
    }
    Ok(Key { hash: attribute(hash)?, range: range.map(attribute).transpose()? })
}

fn add_index(indexes: &mut Vec<Index>, wire: &WireIndex, attributes: &[AttributeDefinition]) -> Result<(), TableError> {
    named(Some(&wire.index_name))?;
    if indexes.iter().any(|i| i.name == wire.index_name) {
        return Err(invalid_value(format!("Duplicate index name: {}", wire.index_name)));
    }
    if indexes.len() >= MAX_INDEXES {
        return Err(invalid_value(format!("GlobalSecondaryIndex count exceeds the per-table limit of {MAX_INDEXES}")));
    }
    let wished = wire.projection.as_ref().map(|p| (p.projection_type.as_deref(), &p.non_key_attributes));
    let projection = match wished {
        Some((Some("ALL"), None)) => Projection::All,
        Some((Some("KEYS_ONLY"), None)) => Projection::KeysOnly,
        Some((Some("INCLUDE"), Some(names))) if !names.is_empty() => Projection::Include(names.clone()),
        _ => return Err(invalid_value("Unknown ProjectionType, or NonKeyAttributes that do not fit it")),
    };
    let key = key_of(&wire.key_schema, attributes)?;
    indexes.push(Index { name: wire.index_name.clone(), key, projection });
    Ok(())
}

fn all_used(key: &Key, indexes: &[Index], attributes: &[AttributeDefinition]) -> Result<(), TableError> {
    let used = |name: &str| key.has(name) || indexes.iter().any(|i| i.key.has(name));
    match attributes.iter().find(|a| !used(&a.attribute_name)) {
        None => Ok(()),
        Some(unused) => Err(invalid_value(format!(
            "Number of attributes in KeySchema does not exactly match number of attributes defined in \
             AttributeDefinitions: {} is in no key",
            unused.attribute_name
        ))),
    }
}

pub fn describe(tables: &Tables, body: &Json) -> Answer {
    let request: Request = parse(body)?;
    tables.with(request.table_name.as_deref(), |table| Ok(json!({ "Table": described(table) })))
}

pub fn update(tables: &Tables, body: &Json) -> Answer {
    let request: Request = parse(body)?;
    tables.with(request.table_name.as_deref(), |table| {
        let mut new = table.definition.clone();
        let changes = request.global_secondary_index_updates.as_deref().unwrap_or_default();
        if changes.is_empty()
            && request.billing_mode.is_none()
            && request.provisioned_throughput.is_none()
            && request.deletion_protection_enabled.is_none()
        {
            return Err(invalid(
                "At least one of ProvisionedThroughput, BillingMode, DeletionProtectionEnabled, \
                                GlobalSecondaryIndexUpdates is required: nothing to update",
            ));
        }
        if request.billing_mode.is_some() || request.provisioned_throughput.is_some() {
            new.throughput = throughput(request.billing_mode.as_deref(), request.provisioned_throughput)?;
        }
        new.protected = request.deletion_protection_enabled.unwrap_or(new.protected);
        let attributes = request.attribute_definitions.as_deref().unwrap_or_default();
        for change in changes {
            change_index(&mut new, change, attributes)?;
        }
        table.redefine(new)?;
        Ok(json!({ "TableDescription": described(table) }))
    })
}

fn change_index(new: &mut Definition, change: &IndexUpdate, given: &[AttributeDefinition]) -> Result<(), TableError> {
    match (&change.create, &change.delete, &change.update) {
        (Some(wire), None, None) => add_index(&mut new.indexes, wire, given),
        (None, Some(gone), None) => {
            let before = new.indexes.len();
            new.indexes.retain(|i| i.name != gone.index_name);
            if new.indexes.len() < before {
                return Ok(());
            }
            Err(TableError::new(TableErrorKind::ResourceNotFound, "Requested resource not found"))
        }
        (None, None, Some(_)) => Ok(()),
        _ => Err(invalid_value("Only one of Create, Update and Delete is allowed in a GlobalSecondaryIndexUpdate")),
    }
}

pub fn delete(tables: &Tables, body: &Json) -> Answer {
    let request: Request = parse(body)?;
    let name = named(request.table_name.as_deref())?;
    let mut state = tables.lock();
    let table = state.get(name).ok_or_else(|| super::no_table(name))?;
    if table.definition.protected {
        return Err(invalid(format!(
            "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection \
             first: table {name}"
        )));
    }
    let mut description = described(table);
    description["TableStatus"] = "DELETING".into();
    if let Some(table) = state.remove(name) {
        table.remove();
    }
    Ok(json!({ "TableDescription": description }))
}

pub fn list(tables: &Tables, body: &Json) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        exclusive_start_table_name: Option<String>,
        limit: Option<i64>,
    }
    let request: Request = parse(body)?;
    let most = match request.limit {
        None => MAX_PAGE,
        Some(limit) => usize::try_from(limit).ok().filter(|l| (1..=MAX_PAGE).contains(l)).ok_or_else(|| {
            invalid(format!("1 validation error detected: Value '{limit}' at 'limit' must be 1 to {MAX_PAGE}"))
        })?,
    };
    let state = tables.lock();
    let after = |name: &&String| request.exclusive_start_table_name.as_ref().is_none_or(|start| *name > start);
    let mut names: Vec<&String> = state.keys().filter(after).take(most + 1).collect();
    let more = names.len() > most;
    names.truncate(most);
    let mut out = json!({ "TableNames": names });
    if more {
        out["LastEvaluatedTableName"] = names.last().map(|n| n.as_str()).into();
    }
    Ok(out)
}

/// What is accepted and remembered, or accepted and ignored, so that clients which ask at their start go on.
pub fn settings(tables: &Tables, operation: &str, body: &Json) -> Answer {
    let name = body.get("TableName").and_then(Json::as_str);
    match operation {
        "DescribeTimeToLive" => tables.with(name, |table| {
            let description = match &table.definition.time_to_live {
                Some(attribute) => json!({ "TimeToLiveStatus": "ENABLED", "AttributeName": attribute }),
                None => json!({ "TimeToLiveStatus": "DISABLED" }),
            };
            Ok(json!({ "TimeToLiveDescription": description }))
        }),
        "UpdateTimeToLive" => tables.with(name, |table| {
            let wished = &body["TimeToLiveSpecification"];
            let (Some(enabled), Some(attribute)) = (wished["Enabled"].as_bool(), wished["AttributeName"].as_str())
            else {
                return Err(invalid("TimeToLiveSpecification needs Enabled and AttributeName"));
            };
            let time_to_live = enabled.then(|| attribute.to_owned());
            table.redefine(Definition { time_to_live, ..table.definition.clone() })?;
            Ok(json!({ "TimeToLiveSpecification": wished }))
        }),
        "DescribeContinuousBackups" => tables.with(name, |table| Ok(backups(table))),
        "UpdateContinuousBackups" => tables.with(name, |table| {
            let wished = body["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"].as_bool();
            let point_in_time =
                wished.ok_or_else(|| invalid("PointInTimeRecoverySpecification needs PointInTimeRecoveryEnabled"))?;
            table.redefine(Definition { point_in_time, ..table.definition.clone() })?;
            Ok(backups(table))
        }),
        "ListTagsOfResource" => Ok(json!({ "Tags": [] })),
        _ => Ok(json!({})),
    }
}

fn backups(table: &Table) -> Json {
    let status = if table.definition.point_in_time { "ENABLED" } else { "DISABLED" };
    json!({ "ContinuousBackupsDescription": {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": { "PointInTimeRecoveryStatus": status },
    } })
}

fn schema_json(key: &Key) -> Json {
    let kinds = ["HASH", "RANGE"];
    let element = |(a, kind): (&KeyAttribute, &str)| json!({ "AttributeName": a.name, "KeyType": kind });
    key.attributes().zip(kinds).map(element).collect()
}

fn described(table: &Table) -> Json {
    let definition = &table.definition;
    let mut attributes: Vec<&KeyAttribute> = Vec::new();
    for attribute in definition.key.attributes().chain(definition.indexes.iter().flat_map(|i| i.key.attributes())) {
        if !attributes.contains(&attribute) {
            attributes.push(attribute);
        }
    }
    let attribute = |a: &&KeyAttribute| json!({ "AttributeName": a.name, "AttributeType": a.kind });
    let (read, write) = definition.throughput.unwrap_or((0, 0));
    let units = json!({ "NumberOfDecreasesToday": 0, "ReadCapacityUnits": read, "WriteCapacityUnits": write });
    let arn = arn(&definition.name);
    let mut out = json!({
        "AttributeDefinitions": attributes.iter().map(attribute).collect::<Vec<_>>(),
        "TableName": definition.name,
        "KeySchema": schema_json(&definition.key),
        "TableStatus": "ACTIVE",
        "CreationDateTime": definition.created as f64 / 1000.0,
        "ProvisionedThroughput": units,
        "TableSizeBytes": table.bytes(),
        "ItemCount": table.items.len(),
        "TableArn": arn,
        "TableId": format!("00000000-0000-4000-8000-{:012x}", definition.created & 0xffff_ffff_ffff),
        "DeletionProtectionEnabled": definition.protected,
    });
    if definition.throughput.is_none() {
        out["BillingModeSummary"] = json!({
            "BillingMode": "PAY_PER_REQUEST",
            "LastUpdateToPayPerRequestDateTime": definition.created as f64 / 1000.0,
        });
    }
    if !definition.indexes.is_empty() {
        let index = |index: &Index| {
            json!({
                "IndexName": index.name,
                "KeySchema": schema_json(&index.key),
                "Projection": projection_json(&index.projection),
                "IndexStatus": "ACTIVE",
                "ProvisionedThroughput": units,
                "IndexSizeBytes": 0,
                "ItemCount": table.items.values().filter(|item| index.key.loose(item).is_some()).count(),
                "IndexArn": format!("{arn}/index/{}", index.name),
            })
        };
        out["GlobalSecondaryIndexes"] = definition.indexes.iter().map(index).collect();
    }
    out
}

fn projection_json(projection: &Projection) -> Json {
    match projection {
        Projection::All => json!({ "ProjectionType": "ALL" }),
        Projection::KeysOnly => json!({ "ProjectionType": "KEYS_ONLY" }),
        Projection::Include(names) => json!({ "ProjectionType": "INCLUDE", "NonKeyAttributes": names }),
    }
}

fn arn(name: &str) -> String {
    format!("arn:aws:dynamodb:us-east-1:000000000000:table/{name}")
}
