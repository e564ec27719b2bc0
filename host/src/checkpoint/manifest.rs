//! What one epoch made durable, and the job record: their content and their bytes.
//!
//! The rule: bytes that are not exactly what was written are refused with words, never half read. A manifest is a version byte, 16
//! bytes of SHA-256 over the body, and the body as JSON; numbers of versions are kept stable.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Kind, Result},
    record::ShardId,
    sink::{SetBack, Token},
    source::{Position, Shard, Start},
    state::HashRange,
};

const VERSION: u8 = 1;
const SUM: usize = 16;

/// How far a shard is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardProgress {
    /// up to where it is done; none where nothing was read
    pub position: Option<Position>,
    /// the largest event time seen, microseconds since 1970
    pub max_event_us: Option<i64>,
    /// where it begins, where its lease row says otherwise than the job record
    #[serde(default)]
    pub start: Option<Start>,
    /// the watermark that its parents ended with: it starts there
    pub floor_us: Option<i64>,
    /// read to its end; its children may be read
    pub ended: bool,
    /// the shards that must have ended before it is read
    pub parents: Vec<ShardId>,
}

/// What one epoch made durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// manifests are numbered from 1 without gaps; the newest is the truth
    pub number: u64,
    /// the last epoch that is durable; 0 is the empty beginning
    pub epoch: u64,
    /// raised by every claim
    pub fence: u64,
    /// tells apart two claims that wrote the same
    pub nonce: u64,
    /// the deployed version of the job that made it
    pub generation: u64,
    /// the first epoch of that version
    #[serde(default)]
    pub since: u64,
    /// by source, then by shard
    pub shards: BTreeMap<String, BTreeMap<ShardId, ShardProgress>>,
    /// promises of sinks that are not known to be committed, oldest first
    pub tokens: Vec<Token>,
    /// what sinks hold back, by name of the sink
    #[serde(with = "base64_rows")]
    pub held: BTreeMap<String, Vec<u8>>,
    /// the output watermark of every step, by name, microseconds since 1970
    pub watermarks: BTreeMap<String, i64>,
    /// where state lies in a remote store, in the order in which it applies
    #[serde(default)]
    pub state: Vec<BlockRef>,
    /// the epochs of earlier owners, oldest first: (fence, last epoch)
    #[serde(default)]
    pub lineage: Vec<(u64, u64)>,
    /// what the partition owns of the hash space
    #[serde(default = "all")]
    pub range: HashRange,
    /// how far event time had come in what was inherited, where that is further than the partition's own beginning
    #[serde(default)]
    pub floors: Vec<Floor>,
    /// the shard is read to its end and nothing is left to finish: nothing may follow; these shards go on
    #[serde(default)]
    pub sealed: Option<Vec<Shard>>,
    /// rule 7: it was set back to a savepoint
    #[serde(default)]
    pub set_back: Option<SetBack>,
    /// rule 7: what it held was set aside; its next owner begins it as if it had never run, with these numbers
    #[serde(default)]
    pub begins_anew: bool,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            number: 0,
            epoch: 0,
            fence: 0,
            nonce: 0,
            generation: 0,
            since: 0,
            shards: BTreeMap::new(),
            tokens: Vec::new(),
            held: BTreeMap::new(),
            watermarks: BTreeMap::new(),
            state: Vec::new(),
            lineage: Vec::new(),
            range: HashRange::ALL,
            floors: Vec::new(),
            sealed: None,
            set_back: None,
            begins_anew: false,
        }
    }
}

/// A block of state in a remote store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRef {
    /// the object
    pub name: String,
    /// its length
    pub bytes: u64,
    /// changes in it
    pub rows: u64,
    /// first 16 bytes of its SHA-256, as hexadecimal digits
    pub digest: String,
    /// the partition that wrote it
    pub of: String,
    /// the first and last epoch of that partition whose changes it holds
    pub epochs: (u64, u64),
    /// it holds everything that its writer had: what stands before it was replaced by it
    pub is_whole: bool,
    /// rows outside are not meant
    pub range: HashRange,
}

impl Manifest {
    /// Epochs after this one are of this generation.
    pub fn go_on(&mut self, generation: u64) {
        if generation > self.generation {
            (self.generation, self.since) = (generation, self.epoch + 1);
        }
    }

    /// Whether an epoch of this generation, or of a later one, is durable.
    pub fn has_run(&self, generation: u64) -> bool {
        self.generation > generation || (self.generation == generation && self.epoch >= self.since)
    }

    /// Whether what a store had after this epoch of the owner with this fence is a part of this manifest's past.
    pub fn follows(&self, fence: u64, epoch: u64) -> bool {
        let by_another = self.lineage.iter().any(|(owner, last)| *owner == fence && epoch <= *last);
        by_another || (self.fence == fence && epoch <= self.epoch)
    }
}

fn all() -> HashRange {
    HashRange::ALL
}

/// A record whose partition key lies in the range is late as if event time had come this far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floor {
    /// part of the hash space
    pub range: HashRange,
    /// microseconds since 1970
    pub watermark_us: i64,
}

/// The deployed truth of a job: where it started, and what its state was made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRecord {
    /// the job's name
    pub job: String,
    /// version of the deployed job
    pub generation: u64,
    /// digest of the checked job file and of each plugin, by name
    pub digests: BTreeMap<String, String>,
    /// when the job was first started, microseconds since 1970
    pub created_us: i64,
    /// by source: where shards begin that existed then, and which those were
    pub starts: BTreeMap<String, (Start, Vec<Shard>)>,
    /// by source: when it was first read
    #[serde(default)]
    pub began: BTreeMap<String, Began>,
    /// plugins that run in place of the job file's
    #[serde(default)]
    pub swapped: Swapped,
}

/// What was swapped in since the job file was deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swapped {
    /// by step: the digest of the plugin that runs there
    pub plugins: BTreeMap<String, String>,
    /// what `plugins` was before this generation, where that was a swap
    pub before: Option<BTreeMap<String, String>>,
    /// until then a step that fails takes the swap back, microseconds since 1970
    pub trial_until_us: i64,
    /// the first generation that ran these plugins, where that is not this one
    #[serde(default)]
    pub since: Option<u64>,
    /// only some partitions run these plugins, until they have passed; the others run those before
    #[serde(default)]
    pub canary: Option<Canary>,
    /// what ran before cannot read what these plugins store
    #[serde(default)]
    pub one_way: bool,
    /// what ran since this generation may have stored something, and was not taken back: says nothing of generations before it, nor after
    #[serde(default)]
    pub settled: u64,
}

/// Partitions that try what is new, and commit nothing of it until all of them have passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Canary {
    /// the step whose plugin is new
    pub step: String,
    /// which ones
    pub partitions: BTreeSet<String>,
    /// those of them that have found nothing wrong
    pub passed: BTreeSet<String>,
    /// those of them that have seen no record for as long as they look: nobody waits for them
    #[serde(default)]
    pub quiet: BTreeSet<String>,
    /// the generation of the others
    pub base: u64,
    /// how long each of them looks
    pub for_ms: u64,
    /// how long it is on trial when all have passed
    pub trial_ms: u64,
    /// what must hold
    pub guards: Guards,
}

/// What must hold of a step that is tried; none: not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Guards {
    /// at most this share of its records is rejected, in millionths
    pub rejects_ppm: Option<u32>,
    /// 99 of 100 of its calls take no longer, microseconds
    pub p99_us: Option<u64>,
    /// rows a record, in percent of what the partition had before: at least, at most
    pub output_percent: Option<(u32, u32)>,
    /// true of every row that it makes
    pub assertion: Option<String>,
}

/// When a source was first read by a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Began {
    /// microseconds since 1970 by the clock that stamps arrivals
    pub at_us: i64,
    /// when the stream itself was made, where that is known
    pub stream_made_us: Option<i64>,
}

impl Canary {
    /// Whether all that have seen something have found nothing wrong, and one has.
    pub fn has_passed(&self) -> bool {
        !self.passed.is_empty()
            && self.partitions.iter().all(|name| self.passed.contains(name) || self.quiet.contains(name))
    }
}

impl JobRecord {
    /// What the plugin of a step is called in `digests`.
    pub fn plugin_of(step: &str) -> String {
        format!("the plugin of step `{step}`")
    }

    /// Whether what has this digest is what was deployed under the name in `digests`, or swapped in since; during a canary, what others run
    /// counts as well.
    pub fn runs(&self, name: &str, digest: &str) -> bool {
        let Swapped { plugins, before, .. } = &self.swapped;
        let mut swapped = plugins.iter().chain(before.iter().flatten());
        swapped.any(|(step, other)| other == digest && Self::plugin_of(step) == name)
            || self.digests.get(name).is_some_and(|known| known == digest)
    }

    /// The digest of the plugin that runs at a step.
    pub fn deployed(&self, step: &str) -> Option<&String> {
        self.swapped.plugins.get(step).or_else(|| self.digests.get(&Self::plugin_of(step)))
    }

    /// The digest of the plugin that ran at a step before the last swap.
    pub fn deployed_before(&self, step: &str) -> Option<&String> {
        let swapped = self.swapped.before.as_ref().and_then(|before| before.get(step));
        swapped.or_else(|| self.digests.get(&Self::plugin_of(step)))
    }

    /// The digests of the plugins that run at a step: while there is a canary, what ran before runs too.
    pub fn needs(&self, step: &str) -> impl Iterator<Item = &String> {
        let before = self.swapped.canary.as_ref().and_then(|_| self.deployed_before(step));
        self.deployed(step).into_iter().chain(before)
    }

    /// The first generation that ran the plugins that run now.
    pub fn since(&self) -> u64 {
        self.swapped.since.unwrap_or(self.generation)
    }

    /// Whether an epoch of what runs now may be durable: where what ran before cannot read it, only once that is settled.
    pub fn may_commit(&self) -> bool {
        !self.swapped.one_way || self.swapped.settled == self.since()
    }

    /// The canary, if this partition is one of it.
    pub fn canary_of(&self, partition: &str) -> Option<&Canary> {
        self.swapped.canary.as_ref().filter(|canary| canary.partitions.contains(partition))
    }

    /// The record that a partition goes by: while there is a canary, its partitions are at the first generation of it, and the others
    /// at the one before.
    pub fn seen_by(&self, partition: &str) -> Self {
        let Some(canary) = &self.swapped.canary else { return self.clone() };
        if canary.partitions.contains(partition) {
            return Self { generation: self.since(), ..self.clone() };
        }
        let plugins = self.swapped.before.clone().unwrap_or_default();
        Self { generation: canary.base, swapped: Swapped { plugins, ..Swapped::default() }, ..self.clone() }
    }

    /// Where a shard begins that existed when its source was first read.
    pub fn start_of(&self, source: &str, shard: &ShardId) -> Option<Start> {
        let (start, known) = self.starts.get(source)?;
        known.iter().any(|known| known.id == *shard).then_some(*start)
    }

    /// When this source was first read, microseconds since 1970 by the clock that stamps arrivals.
    pub fn began_us(&self, source: &str) -> i64 {
        self.began.get(source).map_or(self.created_us, |began| began.at_us)
    }
}

/// Bytes as text: as numbers they would be three times as long, in every manifest.
mod base64_rows {
    use std::collections::BTreeMap;

    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(rows: &BTreeMap<String, Vec<u8>>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(rows.iter().map(|(name, bytes)| (name, STANDARD.encode(bytes))))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Vec<u8>>, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(from)?;
        texts.into_iter().map(|(name, text)| Ok((name, STANDARD.decode(text).map_err(D::Error::custom)?))).collect()
    }
}

/// Bytes of a row. The length of a body is bounded by what the store takes, not here.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let body = serde_json::to_vec(value).expect("a manifest has text keys and no failing serialiser");
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&Sha256::digest(&body)[..SUM]);
    bytes.extend_from_slice(&body);
    bytes
}

/// The value of a row, or words about what is wrong with it.
pub fn decode<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T> {
    let damaged =
        |what: String| Error::new(Kind::State, format!("{name} is damaged: {what}; restore the state from a copy"));
    let Some((version, rest)) = bytes.split_first() else {
        return Err(damaged("it is empty".to_owned()));
    };
    if *version != VERSION {
        return Err(Error::new(
            Kind::State,
            format!(
                "{name} has version {version}, this version of pelton knows {VERSION}; use the version that wrote it"
            ),
        ));
    }
    if rest.len() < SUM {
        return Err(damaged(format!("only {} bytes are left of it", bytes.len())));
    }
    let (sum, body) = rest.split_at(SUM);
    if Sha256::digest(body)[..SUM] != *sum {
        return Err(damaged("its checksum does not fit".to_owned()));
    }
    serde_json::from_slice(body).map_err(|e| damaged(e.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_manifest_survives_its_bytes_and_holds_rows_at_little_cost() {
        let held: Vec<u8> = (0..60_000).map(|number| (number % 251) as u8).collect();
        let manifest = Manifest { number: 7, held: BTreeMap::from([("out".to_owned(), held)]), ..Manifest::default() };
        let bytes = encode(&manifest);
        assert!(bytes.len() < 81_000, "{}", bytes.len());
        assert_eq!(decode::<Manifest>("manifest 7", &bytes).unwrap(), manifest);
    }
}
