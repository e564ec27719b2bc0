//! Firehose: CreateDeliveryStream, DescribeDeliveryStream, ListDeliveryStreams, PutRecord, PutRecordBatch.
//!
//! Destinations in requests are accepted and ignored; what was put is read back from the store or over HTTP (`http.rs`).

use serde::Deserialize;
use serde_json::{Value, json};

use super::records::Blob;
use super::{count, failing, parse, required, seconds, unknown};
use crate::faults::Fired;
use crate::store::{ApiError, Delivery, MAX_DELIVERY_BATCH, Millis, Store, invalid};

const DEFAULT_PAGE: usize = 10;
const MAX_PAGE: usize = 10_000;

pub fn call(store: &Store, now: Millis, operation: &str, body: &[u8], fired: &[Fired]) -> Result<Value, ApiError> {
    match operation {
        "CreateDeliveryStream" => create(store, now, body),
        "DescribeDeliveryStream" => describe(store, body),
        "ListDeliveryStreams" => list(store, body),
        "PutRecord" => put_record(store, now, body),
        "PutRecordBatch" => put_batch(store, now, body, fired),
        _ => Err(unknown(operation)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    delivery_stream_name: Option<String>,
}

impl Named {
    fn name(self) -> Result<String, ApiError> {
        required(self.delivery_stream_name, "deliveryStreamName")
    }
}

fn create(store: &Store, now: Millis, body: &[u8]) -> Result<Value, ApiError> {
    let name = parse::<Named>(body)?.name()?;
    let arn = store.create_delivery(now, &name)?;
    Ok(json!({ "DeliveryStreamARN": arn }))
}

fn describe(store: &Store, body: &[u8]) -> Result<Value, ApiError> {
    let name = parse::<Named>(body)?.name()?;
    let description = |delivery: &Delivery| {
        json!({
            "DeliveryStreamName": delivery.name,
            "DeliveryStreamARN": delivery.arn(),
            "DeliveryStreamStatus": "ACTIVE",
            "DeliveryStreamType": "DirectPut",
            "VersionId": "1",
            "CreateTimestamp": seconds(delivery.created),
            "Destinations": [{ "DestinationId": "destinationId-000000000001" }],
            "HasMoreDestinations": false,
        })
    };
    let description = store.with_delivery(&name, description)?;
    Ok(json!({ "DeliveryStreamDescription": description }))
}

fn list(store: &Store, body: &[u8]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        limit: Option<i64>,
        exclusive_start_delivery_stream_name: Option<String>,
    }
    let request: Request = parse(body)?;
    let most = count(request.limit, "limit", MAX_PAGE, DEFAULT_PAGE)?;
    let start = request.exclusive_start_delivery_stream_name.as_deref();
    let (names, more) = store.delivery_names(start, most);
    Ok(json!({ "DeliveryStreamNames": names, "HasMoreDeliveryStreams": more }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireRecord {
    data: Option<Blob>,
}

/// Ids need only differ: time and place in the call.
fn record_id(now: Millis, index: usize) -> String {
    format!("{now:016x}{index:08x}")
}

fn put_record(store: &Store, now: Millis, body: &[u8]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        delivery_stream_name: Option<String>,
        record: Option<WireRecord>,
    }
    let request: Request = parse(body)?;
    let name = required(request.delivery_stream_name, "deliveryStreamName")?;
    let record = required(request.record, "record")?;
    store.deliver(&name, vec![required(record.data, "record.data")?.0])?;
    Ok(json!({ "RecordId": record_id(now, 0), "Encrypted": false }))
}

fn put_batch(store: &Store, now: Millis, body: &[u8], fired: &[Fired]) -> Result<Value, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Request {
        delivery_stream_name: Option<String>,
        records: Option<Vec<WireRecord>>,
    }
    let request: Request = parse(body)?;
    let name = required(request.delivery_stream_name, "deliveryStreamName")?;
    let records = required(request.records, "records")?;
    let entries = records.len();
    if entries > MAX_DELIVERY_BATCH {
        return Err(invalid(format!("a batch has 1 to {MAX_DELIVERY_BATCH} records, not {entries}")));
    }
    let blobs = records.into_iter().map(|r| Ok(required(r.data, "records.data")?.0));
    let blobs = blobs.collect::<Result<Vec<_>, ApiError>>()?;
    let fails = failing(entries, fired);
    let kept: Vec<_> = blobs.into_iter().zip(&fails).filter(|(_, fails)| !**fails).map(|(b, _)| b).collect();
    if !kept.is_empty() || fails.is_empty() {
        store.deliver(&name, kept)?;
    }
    let response = |i: usize| match fails[i] {
        true => json!({ "ErrorCode": "ServiceUnavailableException", "ErrorMessage": "Slow down." }),
        false => json!({ "RecordId": record_id(now, i) }),
    };
    Ok(json!({
        "FailedPutCount": fails.iter().filter(|fails| **fails).count(),
        "Encrypted": false,
        "RequestResponses": (0..entries).map(response).collect::<Vec<_>>(),
    }))
}
