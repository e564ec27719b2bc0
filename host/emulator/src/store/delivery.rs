//! Firehose delivery streams: what was put is kept, to be read back.
//!
//! The rule: records are kept in the order of the calls, whole calls only. There is no destination: whoever tests a
//! delivery asks `delivered`.

use bytes::Bytes;

use super::error::{ApiError, ErrorKind, in_use, invalid, limit, not_found};
use super::shard::RECORD_OVERHEAD;
use super::stream::check_name;
use super::{MAX_HELD_BYTES, Millis, State, Store, disk_failed};
use crate::disk::Log;

pub const MAX_BATCH: usize = 500;
const MAX_BATCH_BYTES: usize = 4 << 20;
const MAX_RECORD_BYTES: usize = 1000 << 10;
const MAX_DELIVERIES: usize = 1000;

#[derive(Debug)]
pub struct Delivery {
    pub name: String,
    pub created: Millis,
    pub records: Vec<Bytes>,
    pub log: Option<Log>,
}

impl Delivery {
    pub fn held(&self) -> usize {
        self.records.iter().map(|r| r.len() + RECORD_OVERHEAD).sum()
    }

    pub fn arn(&self) -> String {
        format!("arn:aws:firehose:us-east-1:000000000000:deliverystream/{}", self.name)
    }
}

impl State {
    fn delivery(&self, name: &str) -> Result<&Delivery, ApiError> {
        self.deliveries.get(name).ok_or_else(|| missing(name))
    }
}

fn missing(name: &str) -> ApiError {
    not_found(format!("Firehose {name} under account 000000000000 not found."))
}

impl Store {
    pub fn create_delivery(&self, now: Millis, name: &str) -> Result<String, ApiError> {
        check_name("deliveryStreamName", name)?;
        let mut state = self.lock();
        if state.deliveries.contains_key(name) {
            return Err(in_use(format!("Firehose {name} under accountId 000000000000 already exists")));
        }
        if state.deliveries.len() >= MAX_DELIVERIES {
            return Err(limit(format!("the emulator holds {MAX_DELIVERIES} delivery streams, its limit")));
        }
        let log = match &self.disk {
            Some(disk) => Some(disk.delivery_log(name, now).map_err(disk_failed)?),
            None => None,
        };
        let delivery = Delivery { name: name.to_owned(), created: now, records: Vec::new(), log };
        let arn = delivery.arn();
        state.deliveries.insert(name.to_owned(), delivery);
        self.save(&state)?;
        Ok(arn)
    }

    pub fn with_delivery<T>(&self, name: &str, look: impl FnOnce(&Delivery) -> T) -> Result<T, ApiError> {
        Ok(look(self.lock().delivery(name)?))
    }

    /// Names after `start`, in order, and whether there are more.
    pub fn delivery_names(&self, start: Option<&str>, most: usize) -> (Vec<String>, bool) {
        let state = self.lock();
        let after = |name: &&String| start.is_none_or(|s| name.as_str() > s);
        let mut names: Vec<_> = state.deliveries.keys().filter(after).take(most.saturating_add(1)).cloned().collect();
        let more = names.len() > most;
        names.truncate(most);
        (names, more)
    }

    pub fn deliver(&self, name: &str, records: Vec<Bytes>) -> Result<(), ApiError> {
        let bytes = check(&records)?;
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.held + bytes > MAX_HELD_BYTES {
            return Err(ApiError::new(
                ErrorKind::LimitExceeded,
                format!("the emulator holds {} bytes of records, its limit: delete a stream", state.held),
            ));
        }
        let delivery = state.deliveries.get_mut(name).ok_or_else(|| missing(name))?;
        if let Some(log) = &mut delivery.log {
            log.append(records.iter().map(|r| r.to_vec())).map_err(disk_failed)?;
        }
        delivery.records.extend(records);
        state.held += bytes;
        Ok(())
    }

    /// Everything put into a delivery stream so far; nothing if there is no such stream.
    pub fn delivered(&self, name: &str) -> Vec<Vec<u8>> {
        let state = self.lock();
        let records = state.deliveries.get(name).map(|d| d.records.as_slice());
        records.unwrap_or_default().iter().map(|r| r.to_vec()).collect()
    }
}

fn check(records: &[Bytes]) -> Result<usize, ApiError> {
    if records.is_empty() || records.len() > MAX_BATCH {
        return Err(invalid(format!("a batch has 1 to {MAX_BATCH} records, not {}", records.len())));
    }
    if let Some(large) = records.iter().find(|r| r.len() > MAX_RECORD_BYTES) {
        return Err(invalid(format!("a record of {} bytes is too large: at most {MAX_RECORD_BYTES}", large.len())));
    }
    let total: usize = records.iter().map(Bytes::len).sum();
    if total > MAX_BATCH_BYTES {
        return Err(invalid(format!("a batch of {total} bytes is too large: at most {MAX_BATCH_BYTES}")));
    }
    Ok(total + records.len() * RECORD_OVERHEAD)
}
