//! Leases in a DynamoDB table, in the rows of the Kinesis Client Library 2 and 3.
//!
//! What it owes: conditional expressions only, so that each change is one step at the service; consistent reads. Every write
//! carries a number of its own (`peltonWrite`): where an answer was lost and the SDK asked again, the refused second try finds
//! that number in the row and counts as done. Rows of other kinds (`entityType` other than LEASE) are left alone.
//! Left to others: what a row looks like (`row`), and the table itself (`table`).

mod row;
mod table;

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{delete_item::DeleteItemError, put_item::PutItemError, update_item::UpdateItemError},
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};

use crate::{
    aws,
    error::{Error, Kind, Result},
    lease::{Change, Expect, Lease, LeaseTable, Updated},
    random,
    source::Pending,
};
use row::{KEY, Row, WRITE};

/// A table of leases in DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoDbLeases {
    client: Client,
    table: String,
}

/// What a refused write says, if it was the condition.
type Refusal = Option<Option<Row>>;

impl DynamoDbLeases {
    /// Looks at the table and at its rows; makes it if it is missing and `create` says so.
    pub async fn connect(client: Client, table: &str, create: bool) -> Result<Self> {
        table::ready(&client, table, create).await?;
        let leases = Self { client, table: table.to_owned() };
        leases.read_all().await?;
        Ok(leases)
    }

    async fn read_all(&self) -> Result<Vec<Lease>> {
        Ok(self.read_rows().await?.0)
    }

    /// Every lease, and how many rows of other kinds there are.
    async fn read_rows(&self) -> Result<(Vec<Lease>, usize)> {
        let (mut leases, mut others) = (Vec::new(), 0);
        let mut next: Option<Row> = None;
        loop {
            let call = self.client.scan().table_name(&self.table).consistent_read(true).set_exclusive_start_key(next);
            let page = call.send().await.map_err(|failed| self.failed("read", "Scan", &failed))?;
            for row in page.items() {
                let lease = row::read(&self.table, row)?;
                others += usize::from(lease.is_none());
                leases.extend(lease);
            }
            match page.last_evaluated_key {
                Some(key) => next = Some(key),
                None => return Ok((leases, others)),
            }
        }
    }

    async fn read_one(&self, key: &str) -> Result<Option<Lease>> {
        let call = self.client.get_item().table_name(&self.table).key(KEY, text(key)).consistent_read(true);
        let answer = call.send().await.map_err(|failed| self.failed("read", "GetItem", &failed))?;
        answer.item.map_or(Ok(None), |row| row::read(&self.table, &row))
    }

    async fn write_new(&self, lease: &Lease) -> Result<bool> {
        let number = write_number();
        let mut row = row::write(lease);
        row.insert(WRITE.to_owned(), text(&number));
        let call = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(row))
            .condition_expression("attribute_not_exists(leaseKey)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let failed = match call.send().await {
            Ok(_) => return Ok(true),
            Err(failed) => failed,
        };
        match refusal(&failed) {
            Some(Some(row)) if row::read(&self.table, &row)?.is_none() => {
                let message = format!(
                    "lease table `{}`: the row `{}` is taken by a row that is no lease: name the job or its workers otherwise",
                    self.table, lease.key
                );
                Err(Error::new(Kind::Config, message))
            }
            Some(row) => Ok(row.is_some_and(|row| row.get(WRITE) == Some(&text(&number)))),
            None => Err(self.failed("written", "PutItem", &failed)),
        }
    }

    async fn change(&self, key: &str, expect: &Expect, change: &Change) -> Result<Updated> {
        let number = write_number();
        let mut written = row::Expression::default();
        let condition = written.condition(expect);
        let update = written.update(change, &number);
        let call = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(KEY, text(key))
            .condition_expression(condition)
            .update_expression(update)
            .set_expression_attribute_values(Some(written.values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let failed = match call.send().await {
            Ok(answer) => return self.done(key, answer.attributes),
            Err(failed) => failed,
        };
        let Some(row) = refusal(&failed) else { return Err(self.failed("written", "UpdateItem", &failed)) };
        let ours = row.as_ref().is_some_and(|row| row.get(WRITE) == Some(&text(&number)));
        match self.lease_of(row)? {
            Some(lease) if ours && change.shows_in(expect, &lease) => Ok(Updated::Done(lease)),
            lease => Ok(Updated::Refused(lease)),
        }
    }

    async fn remove(&self, key: &str, expect: &Expect) -> Result<Updated> {
        let mut written = row::Expression::default();
        let condition = written.condition(expect);
        let call = self
            .client
            .delete_item()
            .table_name(&self.table)
            .key(KEY, text(key))
            .condition_expression(condition)
            .set_expression_attribute_values(Some(written.values))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let failed = match call.send().await {
            Ok(answer) => return self.done(key, answer.attributes),
            Err(failed) => failed,
        };
        match refusal(&failed) {
            Some(row) => Ok(Updated::Refused(self.lease_of(row)?)),
            None => Err(self.failed("written", "DeleteItem", &failed)),
        }
    }

    fn lease_of(&self, row: Option<Row>) -> Result<Option<Lease>> {
        row.map_or(Ok(None), |row| row::read(&self.table, &row))
    }

    fn done(&self, key: &str, row: Option<Row>) -> Result<Updated> {
        let lease = self.lease_of(row)?.ok_or_else(|| {
            let message = format!("lease table `{}`: the answer about row `{key}` lacks the row", self.table);
            Error::new(Kind::Unavailable, message)
        })?;
        Ok(Updated::Done(lease))
    }

    fn failed<E, R>(&self, done: &str, call: &str, failed: &SdkError<E, R>) -> Error
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug + 'static,
    {
        unavailable(&format!("lease table `{}` cannot be {done}", self.table), call, failed)
    }
}

/// What to do about a failed call. Whether it happened is for the caller to find out: every write here can be repeated.
fn unavailable<E, R>(what: &str, call: &str, failed: &SdkError<E, R>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + 'static,
{
    let advice = match (failed, failed.code().unwrap_or_default()) {
        (SdkError::TimeoutError(_), _) => "; it did not answer in time".to_owned(),
        (_, "AccessDeniedException") => format!("; allow dynamodb:{call} on the table"),
        (_, "ExpiredTokenException" | "ExpiredToken" | "UnrecognizedClientException") => {
            "; renew the credentials".into()
        }
        (_, "ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded") => {
            "; give the table more capacity, or let it be on demand".into()
        }
        _ => String::new(),
    };
    Error::new(Kind::Unavailable, format!("{what}: {}{advice}", aws::said(failed)))
}

/// The error types of the three writing calls, of which only the condition matters here.
trait Conditional {
    fn refused(&self) -> Refusal;
}

macro_rules! conditional {
    ($($error:ident),*) => {
        $(impl Conditional for $error {
            fn refused(&self) -> Refusal {
                match self {
                    Self::ConditionalCheckFailedException(refused) => Some(refused.item.clone()),
                    _ => None,
                }
            }
        })*
    };
}

conditional!(PutItemError, UpdateItemError, DeleteItemError);

fn refusal<E: Conditional, R>(failed: &SdkError<E, R>) -> Refusal {
    failed.as_service_error().and_then(Conditional::refused)
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// Different for every write.
fn write_number() -> String {
    format!("{:016x}{:016x}", random::bits(), random::bits())
}

impl LeaseTable for DynamoDbLeases {
    fn list(&self) -> Pending<'_, Result<Vec<Lease>>> {
        Box::pin(self.read_all())
    }

    fn others(&self) -> Pending<'_, Result<usize>> {
        Box::pin(async { Ok(self.read_rows().await?.1) })
    }

    fn get<'a>(&'a self, key: &'a str) -> Pending<'a, Result<Option<Lease>>> {
        Box::pin(self.read_one(key))
    }

    fn create<'a>(&'a self, lease: &'a Lease) -> Pending<'a, Result<bool>> {
        Box::pin(self.write_new(lease))
    }

    fn update<'a>(&'a self, key: &'a str, expect: &'a Expect, change: &'a Change) -> Pending<'a, Result<Updated>> {
        Box::pin(self.change(key, expect, change))
    }

    fn delete<'a>(&'a self, key: &'a str, expect: &'a Expect) -> Pending<'a, Result<Updated>> {
        Box::pin(self.remove(key, expect))
    }
}

/// The values of an expression.
type Values = HashMap<String, AttributeValue>;
