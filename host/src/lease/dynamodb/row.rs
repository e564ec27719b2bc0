//! A lease as a row of the Kinesis Client Library, and its changes as expressions.
//!
//! The rules: `entityType` absent means LEASE, as in rows that version 2 wrote; a set that would be empty is no attribute; a row
//! that says it is a lease and is not one is named with the attribute that is wrong.

use std::{
    collections::{BTreeSet, HashMap},
    str::FromStr,
};

use aws_sdk_dynamodb::types::AttributeValue;

use super::{Values, text};
use crate::{
    error::{Error, Kind, Result},
    lease::{Change, Checkpoint, Expect, Lease, Switches},
};

/// A row as the SDK has it.
pub type Row = HashMap<String, AttributeValue>;

/// The key of the table.
pub const KEY: &str = "leaseKey";
/// Which write was the last one of ours.
pub const WRITE: &str = "peltonWrite";
const OWNER: &str = "leaseOwner";
const COUNTER: &str = "leaseCounter";
const SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
const CHECKPOINT: &str = "checkpoint";
const SUB_SEQUENCE: &str = "checkpointSubSequenceNumber";
const PARENTS: &str = "parentShardId";
const CHILDREN: &str = "childShardIds";
const FIRST_HASH: &str = "startingHashKey";
const LAST_HASH: &str = "endingHashKey";
const HANDED_OFF_BY: &str = "checkpointOwner";
const ENTITY: &str = "entityType";
const LEASE: &str = "LEASE";
const EPOCH: &str = "peltonEpoch";
/// A checkpoint that was prepared and not made.
const PENDING: &str = "pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState";

/// A row being read, for words about it.
struct Reading<'a> {
    table: &'a str,
    row: &'a Row,
}

/// The lease of a row; none if the row is of another kind.
pub fn read(table: &str, row: &Row) -> Result<Option<Lease>> {
    if row.get(ENTITY).is_some_and(|kind| *kind != text(LEASE)) {
        return Ok(None);
    }
    let reading = Reading { table, row };
    let key = reading.text(KEY)?.ok_or_else(|| reading.bad(KEY, "is missing"))?;
    let hash_range = match (reading.parsed(FIRST_HASH)?, reading.parsed(LAST_HASH)?) {
        (Some(first), Some(last)) => Some((first, last)),
        _ => None,
    };
    Ok(Some(Lease {
        key: key.to_owned(),
        owner: reading.text(OWNER)?.map(str::to_owned),
        counter: reading.number(COUNTER)?.ok_or_else(|| reading.bad(COUNTER, "is missing"))?,
        owner_switches: reading.number(SWITCHES)?.unwrap_or(0),
        checkpoint: reading.checkpoint()?,
        parents: reading.set(PARENTS)?,
        children: reading.set(CHILDREN)?,
        hash_range,
        handed_off_by: reading.text(HANDED_OFF_BY)?.map(str::to_owned),
        epoch: reading.number(EPOCH)?,
    }))
}

impl Reading<'_> {
    fn bad(&self, attribute: &str, what: &str) -> Error {
        let key = self.row.get(KEY).map_or_else(|| "without key".to_owned(), shown);
        let message = format!(
            "lease table `{}`: the row {key} says it is a lease, but its attribute `{attribute}` {what}: is this another \
             application's table? Name another one, or mend or delete the row",
            self.table
        );
        Error::new(Kind::State, message)
    }

    fn text(&self, attribute: &str) -> Result<Option<&str>> {
        match self.row.get(attribute) {
            None => Ok(None),
            Some(AttributeValue::S(text)) => Ok(Some(text)),
            Some(other) => Err(self.bad(attribute, &format!("is {}, not a string", shown(other)))),
        }
    }

    fn number(&self, attribute: &str) -> Result<Option<u64>> {
        let number = match self.row.get(attribute) {
            None => return Ok(None),
            Some(AttributeValue::N(digits)) => digits.parse().ok(),
            Some(_) => None,
        };
        let wrong = || {
            let value = self.row.get(attribute).map_or_else(String::new, shown);
            self.bad(attribute, &format!("is {value}, not a whole number from 0 to 2^64-1"))
        };
        number.ok_or_else(wrong).map(Some)
    }

    fn parsed<T: FromStr>(&self, attribute: &str) -> Result<Option<T>> {
        let Some(text) = self.text(attribute)? else { return Ok(None) };
        let wrong = || self.bad(attribute, &format!("is `{text:.60}`, which is no number"));
        text.parse().map(Some).map_err(|_| wrong())
    }

    fn set(&self, attribute: &str) -> Result<BTreeSet<String>> {
        match self.row.get(attribute) {
            None => Ok(BTreeSet::new()),
            Some(AttributeValue::Ss(list)) => Ok(list.iter().cloned().collect()),
            Some(other) => Err(self.bad(attribute, &format!("is {}, not a set of strings", shown(other)))),
        }
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        let text = self.text(CHECKPOINT)?.ok_or_else(|| self.bad(CHECKPOINT, "is missing"))?;
        let sub_sequence = self.number(SUB_SEQUENCE)?.unwrap_or(0);
        Ok(match text {
            "AT_TIMESTAMP" => Checkpoint::AtTimestamp,
            "TRIM_HORIZON" => Checkpoint::TrimHorizon,
            "LATEST" => Checkpoint::Latest,
            "SHARD_END" => Checkpoint::ShardEnd,
            digits => {
                let wrong = |_| self.bad(CHECKPOINT, &format!("is `{digits:.80}`, which is no sequence number"));
                Checkpoint::At { sequence: digits.parse().map_err(wrong)?, sub_sequence }
            }
        })
    }
}

fn shown(value: &AttributeValue) -> String {
    let text = match value {
        AttributeValue::S(text) => format!("`{text}`"),
        AttributeValue::N(digits) => digits.clone(),
        other => format!("{other:?}"),
    };
    text.chars().take(80).collect()
}

fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn checkpoint_text(checkpoint: Checkpoint) -> (String, u64) {
    match checkpoint {
        Checkpoint::AtTimestamp => ("AT_TIMESTAMP".into(), 0),
        Checkpoint::TrimHorizon => ("TRIM_HORIZON".into(), 0),
        Checkpoint::Latest => ("LATEST".into(), 0),
        Checkpoint::ShardEnd => ("SHARD_END".into(), 0),
        Checkpoint::At { sequence, sub_sequence } => (sequence.to_string(), sub_sequence),
    }
}

/// The row of a new lease.
pub fn write(lease: &Lease) -> Row {
    let (checkpoint, sub_sequence) = checkpoint_text(lease.checkpoint);
    let mut row = Row::from([
        (KEY.to_owned(), text(&lease.key)),
        (ENTITY.to_owned(), text(LEASE)),
        (COUNTER.to_owned(), number(lease.counter)),
        (SWITCHES.to_owned(), number(lease.owner_switches)),
        (CHECKPOINT.to_owned(), text(&checkpoint)),
        (SUB_SEQUENCE.to_owned(), number(sub_sequence)),
    ]);
    let mut add = |name: &str, value: Option<AttributeValue>| {
        if let Some(value) = value {
            row.insert(name.to_owned(), value);
        }
    };
    let set = |set: &BTreeSet<String>| (!set.is_empty()).then(|| AttributeValue::Ss(set.iter().cloned().collect()));
    add(OWNER, lease.owner.as_deref().map(text));
    add(HANDED_OFF_BY, lease.handed_off_by.as_deref().map(text));
    add(PARENTS, set(&lease.parents));
    add(CHILDREN, set(&lease.children));
    add(FIRST_HASH, lease.hash_range.map(|(first, _)| text(&first.to_string())));
    add(LAST_HASH, lease.hash_range.map(|(_, last)| text(&last.to_string())));
    add(EPOCH, lease.epoch.map(number));
    row
}

/// Texts of expressions, and the values that they name.
#[derive(Default)]
pub struct Expression {
    pub values: Values,
    set: Vec<String>,
    remove: Vec<String>,
    add: Vec<String>,
}

impl Expression {
    fn value(&mut self, value: AttributeValue) -> String {
        let name = format!(":v{}", self.values.len());
        self.values.insert(name.clone(), value);
        name
    }

    fn is(&mut self, attribute: &str, value: Option<&str>) -> String {
        match value {
            Some(value) => {
                let name = self.value(text(value));
                format!("{attribute} = {name}")
            }
            None => format!("attribute_not_exists({attribute})"),
        }
    }

    /// What must hold; a row of another kind never fits.
    pub fn condition(&mut self, expect: &Expect) -> String {
        let lease = self.value(text(LEASE));
        let kind = format!("(attribute_not_exists({ENTITY}) OR {ENTITY} = {lease})");
        let own = match expect {
            Expect::Counter(counter) => {
                let counter = self.value(number(*counter));
                format!("{COUNTER} = {counter}")
            }
            Expect::Owned { owner, handed_off_by } => {
                let owner = self.is(OWNER, owner.as_deref());
                let by = self.is(HANDED_OFF_BY, handed_off_by.as_deref());
                format!("attribute_exists({KEY}) AND {owner} AND {by}")
            }
            Expect::Exists => format!("attribute_exists({KEY})"),
        };
        format!("{own} AND {kind}")
    }

    fn put(&mut self, attribute: &str, value: AttributeValue) {
        let name = self.value(value);
        self.set.push(format!("{attribute} = {name}"));
    }

    fn put_or_remove(&mut self, attribute: &str, value: Option<AttributeValue>) {
        match value {
            Some(value) => self.put(attribute, value),
            None => self.remove.push(attribute.to_owned()),
        }
    }

    fn count(&mut self, attribute: &str) {
        let one = self.value(number(1));
        self.add.push(format!("{attribute} {one}"));
    }

    /// What becomes of the row, marked with the number of this write.
    pub fn update(&mut self, change: &Change, write_number: &str) -> String {
        self.put(WRITE, text(write_number));
        if change.counter_up {
            self.count(COUNTER);
        }
        if let Some(owner) = &change.owner {
            self.put_or_remove(OWNER, owner.as_deref().map(text));
        }
        if let Some(by) = &change.handed_off_by {
            self.put_or_remove(HANDED_OFF_BY, by.as_deref().map(text));
        }
        match change.owner_switches {
            Some(Switches::Reset) => self.put(SWITCHES, number(0)),
            Some(Switches::Add) => self.count(SWITCHES),
            None => {}
        }
        if let Some(checkpoint) = change.checkpoint {
            let (checkpoint, sub_sequence) = checkpoint_text(checkpoint);
            self.put(CHECKPOINT, text(&checkpoint));
            self.put(SUB_SEQUENCE, number(sub_sequence));
            self.remove.push(PENDING.to_owned());
        }
        if let Some(epoch) = change.epoch {
            self.put(EPOCH, number(epoch));
        }
        if let Some(children) = &change.children {
            let set = (!children.is_empty()).then(|| AttributeValue::Ss(children.iter().cloned().collect()));
            self.put_or_remove(CHILDREN, set);
        }
        if let Some((first, last)) = change.hash_range {
            self.put(FIRST_HASH, text(&first.to_string()));
            self.put(LAST_HASH, text(&last.to_string()));
        }
        let section = |word: &str, list: &[String]| match list {
            [] => String::new(),
            list => format!("{word} {} ", list.join(", ")),
        };
        format!("{}{}{}", section("SET", &self.set), section("REMOVE", &self.remove), section("ADD", &self.add))
    }
}
