//! What stands behind the port, and what goes wrong with a call to it.
//!
//! The rule: faults are drawn once for a call, before it is done, from what its request names; a lost condition is drawn
//! after it, because only a write that was done can be lost.

use std::sync::Arc;

use serde_json::Value;

use crate::dynamodb::{TableError, TableErrorKind, Tables};
use crate::faults::{Call, Fault, Faults, Fired, Service, Stage, Throttle};
use crate::glue::{Glue, GlueError, GlueErrorKind};
use crate::store::{ApiError, ErrorKind, Iterator, Store, id_of, name_in_arn};

#[derive(Clone)]
pub struct Services {
    pub store: Arc<Store>,
    pub tables: Arc<Tables>,
    pub glue: Arc<Glue>,
    pub faults: Arc<Faults>,
}

/// The service and the operation of an X-Amz-Target.
pub fn target(target: &str) -> Option<(Service, &str)> {
    let (service, operation) = target.split_once('.')?;
    let service = match service {
        "Kinesis_20131202" => Service::Kinesis,
        "Firehose_20150804" => Service::Firehose,
        "DynamoDB_20120810" => Service::DynamoDb,
        "AWSGlue" => Service::Glue,
        _ => return None,
    };
    Some((service, operation))
}

impl Services {
    /// What happens to this call.
    pub fn draw(&self, stage: Stage, target_name: &str, body: &[u8]) -> Vec<Fired> {
        // Most emulators have no faults, and bodies are large.
        let Some((service, operation)) = target(target_name).filter(|_| !self.faults.is_empty()) else {
            return Vec::new();
        };
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let iterator = body["ShardIterator"].as_str().and_then(Iterator::parse);
        let shard = iterator.as_ref().map(|i| id_of(i.shard));
        let arn = ["StreamARN", "ConsumerARN"].into_iter().find_map(|field| name_in_arn(body[field].as_str()?).ok());
        let named =
            ["StreamName", "DeliveryStreamName", "TableName"].into_iter().find_map(|field| body[field].as_str());
        let schema = if service == Service::Glue { self.glue.schema_of(&body) } else { None };
        let kind = body["ShardIteratorType"].as_str().or(body["StartingPosition"]["Type"].as_str());
        let call = Call {
            service,
            operation,
            stream: arn.or(named).or(iterator.as_ref().map(|i| i.stream.as_str())).or(schema.as_deref()),
            shard: shard.as_deref().or(body["ShardId"].as_str()),
            at_sequence: kind.is_some_and(|kind| kind.ends_with("_SEQUENCE_NUMBER")),
            conditional: body.get("ConditionExpression").is_some() || body.get("Expected").is_some(),
        };
        self.faults.draw(stage, &call)
    }
}

/// What a call is refused with, if that was drawn.
fn refused(fired: &[Fired]) -> Option<Fault> {
    let refusals = [Fault::Throttle, Fault::Fail, Fault::AccessDenied, Fault::ExpiredCredentials];
    fired.iter().map(|f| f.fault).find(|fault| refusals.contains(fault))
}

const DENIED: &str =
    "User: arn:aws:iam::000000000000:user/fault is not authorized to perform the call: a fault was asked for";
const EXPIRED: &str = "The security token included in the request is expired";
const FAILED: &str = "a fault was asked for";

pub fn refuse_stream_call(fired: &[Fired], target_name: &str) -> Result<(), ApiError> {
    let (Some(fault), Some((service, operation))) = (refused(fired), target(target_name)) else {
        return Ok(());
    };
    Err(match (fault, service.throttle(operation)) {
        (Fault::AccessDenied, _) => ApiError::new(ErrorKind::AccessDenied, DENIED),
        (Fault::ExpiredCredentials, _) => ApiError::new(ErrorKind::ExpiredToken, EXPIRED),
        (Fault::Throttle, Throttle::Throughput) => {
            ApiError::new(ErrorKind::ProvisionedThroughputExceeded, "Rate exceeded: a fault was asked for")
        }
        (Fault::Throttle, Throttle::Limit) => {
            ApiError::new(ErrorKind::LimitExceeded, "Rate exceeded: a fault was asked for")
        }
        (Fault::Throttle, Throttle::Unavailable) => ApiError::new(ErrorKind::ServiceUnavailable, "Slow down."),
        _ => ApiError::new(ErrorKind::InternalFailure, FAILED),
    })
}

pub fn refuse_table_call(fired: &[Fired], operation: &str) -> Result<(), TableError> {
    let Some(fault) = refused(fired) else {
        return Ok(());
    };
    Err(match (fault, Service::DynamoDb.throttle(operation)) {
        (Fault::AccessDenied, _) => TableError::new(TableErrorKind::AccessDenied, DENIED),
        (Fault::ExpiredCredentials, _) => TableError::new(TableErrorKind::ExpiredToken, EXPIRED),
        (Fault::Throttle, Throttle::Throughput) => TableError::new(
            TableErrorKind::ProvisionedThroughputExceeded,
            "The level of configured provisioned throughput for the table was exceeded: a fault was asked for",
        ),
        (Fault::Throttle, _) => {
            TableError::new(TableErrorKind::LimitExceeded, "Too many operations at once: a fault was asked for")
        }
        _ => TableError::new(TableErrorKind::InternalServerError, FAILED),
    })
}

pub fn refuse_glue_call(fired: &[Fired]) -> Result<(), GlueError> {
    let Some(fault) = refused(fired) else {
        return Ok(());
    };
    Err(match fault {
        Fault::AccessDenied => GlueError::new(GlueErrorKind::AccessDenied, DENIED),
        Fault::ExpiredCredentials => GlueError::new(GlueErrorKind::ExpiredToken, EXPIRED),
        Fault::Throttle => GlueError::new(GlueErrorKind::Throttling, "Rate exceeded: a fault was asked for"),
        _ => GlueError::new(GlueErrorKind::InternalService, FAILED),
    })
}
