//! The lease table itself: there, of the right shape, and ready.
//!
//! The rule: a table of another shape is never touched; one that is missing is made on demand, as the Kinesis Client Library
//! makes it, unless the job says that somebody else does.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    operation::describe_table::DescribeTableError,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableDescription, TableStatus,
    },
};

use super::{row::KEY, unavailable};
use crate::{
    clock,
    error::{Error, Kind, Result},
};

/// How often a table is looked at until it is ready.
const TRIES: u32 = 120;
/// Between two looks.
const BETWEEN: Duration = Duration::from_millis(500);

/// Waits until the table can be used.
pub async fn ready(client: &Client, table: &str, create: bool) -> Result<()> {
    for _ in 0..TRIES {
        match describe(client, table).await? {
            Some(found) => {
                check(table, &found)?;
                match found.table_status {
                    Some(TableStatus::Active | TableStatus::Updating) => return Ok(()),
                    Some(TableStatus::Creating) => clock::sleep(BETWEEN).await,
                    status => {
                        let status = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
                        let message = format!(
                            "lease table `{table}` is in the state {status}: wait or mend it, then start again"
                        );
                        return Err(Error::new(Kind::Unavailable, message));
                    }
                }
            }
            None if create => make(client, table).await?,
            None => {
                let message = format!(
                    "lease table `{table}` does not exist: create it (key `{KEY}`, a string), let the job create it, or mend \
                     its name, region or endpoint"
                );
                return Err(Error::new(Kind::Config, message));
            }
        }
    }
    let message = format!("lease table `{table}` is still being created: look at its state, then start again");
    Err(Error::new(Kind::Unavailable, message))
}

async fn describe(client: &Client, table: &str) -> Result<Option<TableDescription>> {
    match client.describe_table().table_name(table).send().await {
        Ok(answer) => Ok(answer.table),
        Err(failed) => match failed.as_service_error() {
            Some(DescribeTableError::ResourceNotFoundException(_)) => Ok(None),
            _ => Err(unavailable(&format!("lease table `{table}` cannot be described"), "DescribeTable", &failed)),
        },
    }
}

async fn make(client: &Client, table: &str) -> Result<()> {
    let key = KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash).build();
    let kind = AttributeDefinition::builder().attribute_name(KEY).attribute_type(ScalarAttributeType::S).build();
    let call = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .key_schema(key.expect("name and type are set"))
        .attribute_definitions(kind.expect("name and type are set"));
    match call.send().await {
        Ok(_) => Ok(()),
        // another worker was faster: look again
        Err(failed) if failed.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => Ok(()),
        Err(failed) => Err(unavailable(&format!("lease table `{table}` cannot be created"), "CreateTable", &failed)),
    }
}

fn check(table: &str, found: &TableDescription) -> Result<()> {
    let keys: Vec<String> = found
        .key_schema()
        .iter()
        .map(|key| {
            let mut kinds = found.attribute_definitions().iter().filter(|a| a.attribute_name == key.attribute_name);
            let kind = kinds.next().map_or("?", |a| a.attribute_type.as_str());
            format!("{} `{}` ({kind})", key.key_type, key.attribute_name)
        })
        .collect();
    let wanted = format!("HASH `{KEY}` (S)");
    if keys == [wanted.clone()] {
        return Ok(());
    }
    let message = format!(
        "`{table}` is no lease table: its key is {}, and that of a lease table is {wanted}; name another table, or delete it if \
         nobody needs it",
        keys.join(", ")
    );
    Err(Error::new(Kind::Config, message))
}
