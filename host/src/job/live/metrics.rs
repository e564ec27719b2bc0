//! Every metric of a running job, once: name, type, unit, help, and where the figure comes from.
//!
//! The rule: nothing is exported that is not in [`METRICS`]; `docs/reference/metrics.md` is written from it. Each carries the job; those of a
//! partition its name too, so there are never more series than partitions that the worker holds, times the rows here.
//! Left to others: who counts (`live`), how it is asked for (`cli`).

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};

use super::{Live, Now, Restarts};
use crate::record::MIN_US;

/// How a figure behaves.
#[derive(Clone, Copy, Debug)]
pub enum Figure {
    /// grows only, and starts at 0 with the process
    Counter(fn(&Live) -> u64),
    /// stands where it stands; none: not known yet, and not exported
    Gauge(fn(&Live) -> Option<f64>),
    /// a gauge for each partition; none: not known, and not exported
    OfPartition(fn(&Now) -> Option<f64>),
    /// a gauge for each part of the last epoch of each partition
    OfPhase,
    /// a gauge for each shard that a partition reads
    OfShard(fn(&super::ShardNow) -> f64),
    /// a counter for each partition, of how often it began again
    OfRestarts(fn(&Restarts) -> u64),
}

impl Figure {
    fn is_counter(self) -> bool {
        matches!(self, Self::Counter(_) | Self::OfRestarts(_))
    }

    /// What tells its series apart, beside the job.
    fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Counter(_) | Self::Gauge(_) => &[],
            Self::OfPartition(_) | Self::OfRestarts(_) => &["partition"],
            Self::OfPhase => &["partition", "phase"],
            Self::OfShard(_) => &["shard"],
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// without the prefix `pelton_`, the unit, and the `_total` of counters
    pub name: &'static str,
    /// appended to the name
    pub unit: Option<&'static str>,
    /// what it says
    pub help: &'static str,
    /// type and source
    pub figure: Figure,
}

/// The label of every metric.
pub const JOB: &str = "job";

/// The table.
pub const METRICS: &[Metric] = &[
    Metric {
        name: "records",
        unit: None,
        help: "Records taken from sources",
        figure: Figure::Counter(|live| live.records.load(Relaxed)),
    },
    Metric {
        name: "input",
        unit: Some("bytes"),
        help: "Bytes of the records taken from sources",
        figure: Figure::Counter(|live| live.bytes.load(Relaxed)),
    },
    Metric {
        name: "results",
        unit: None,
        help: "Rows given to sinks",
        figure: Figure::Counter(|live| live.results.load(Relaxed)),
    },
    Metric {
        name: "rejects",
        unit: None,
        help: "Records that could not be processed and became dead letters",
        figure: Figure::Counter(|live| live.rejects.load(Relaxed)),
    },
    Metric {
        name: "late_records",
        unit: None,
        help: "Records that came too late for their window",
        figure: Figure::Counter(|live| live.late.load(Relaxed)),
    },
    Metric {
        name: "epoch",
        unit: None,
        help: "The highest durable epoch of the job's partitions; it grows slowly while nothing arrives",
        figure: Figure::Gauge(|live| Some(live.now().epoch as f64)),
    },
    Metric {
        name: "watermark",
        unit: Some("seconds"),
        help: "How far event time has come in the slowest partition, since 1970; absent before it has begun",
        figure: Figure::Gauge(|live| watermark_us(live.now().watermark_us).map(|us| us as f64 / 1e6)),
    },
    Metric {
        name: "behind",
        unit: Some("seconds"),
        help: "How far behind the end of the stream the slowest partition is",
        figure: Figure::Gauge(|live| Some(live.now().behind_ms as f64 / 1e3)),
    },
    Metric {
        name: "open_shards",
        unit: None,
        help: "Shards being read",
        figure: Figure::Gauge(|live| Some(live.now().shards as f64)),
    },
    Metric {
        name: "state",
        unit: Some("bytes"),
        help: "The worker's copy of the state on its disk, about",
        figure: Figure::Gauge(|live| live.state_bytes().map(|bytes| bytes as f64)),
    },
    Metric {
        name: "leases",
        unit: None,
        help: "Leases that the worker holds; absent where it runs the job alone",
        figure: Figure::Gauge(|live| {
            let leases = live.leases();
            (!leases.worker.is_empty()).then_some(leases.held.len() as f64)
        }),
    },
    Metric {
        name: "partition_epoch",
        unit: None,
        help: "The last durable epoch",
        figure: Figure::OfPartition(|now| Some(now.epoch as f64)),
    },
    Metric {
        name: "partition_fence",
        unit: None,
        help: "How often the partition was claimed, by whomever: it rises with each new owner",
        figure: Figure::OfPartition(|now| Some(now.fence as f64)),
    },
    Metric {
        name: "partition_watermark",
        unit: Some("seconds"),
        help: "How far event time has come, since 1970; absent before it has begun",
        figure: Figure::OfPartition(|now| watermark_us(now.watermark_us).map(|us| us as f64 / 1e6)),
    },
    Metric {
        name: "partition_behind",
        unit: Some("seconds"),
        help: "How far behind the end of the stream its slowest shard is",
        figure: Figure::OfPartition(|now| Some(now.behind_ms as f64 / 1e3)),
    },
    Metric {
        name: "partition_uncommitted_tokens",
        unit: None,
        help: "Promises of sinks that are durable and not yet known to be committed; four epochs of them stop the partition until they are",
        figure: Figure::OfPartition(|now| Some(now.uncommitted as f64)),
    },
    Metric {
        name: "partition_state",
        unit: Some("bytes"),
        help: "Its state in the remote store, in blocks that may overlap; absent where there is none",
        figure: Figure::OfPartition(|now| now.state_bytes.map(|bytes| bytes as f64)),
    },
    Metric {
        name: "partition_epoch_phase",
        unit: Some("seconds"),
        help: "What its last epoch took: wait (for the one before), freeze (state), prepare (sinks), commit (manifest), publish (tokens)",
        figure: Figure::OfPhase,
    },
    Metric {
        name: "partition_restarts",
        unit: None,
        help: "How often it failed and began again in this process",
        figure: Figure::OfRestarts(|restarts| restarts.count),
    },
    Metric {
        name: "shard_behind",
        unit: Some("seconds"),
        help: "How far behind its end a shard was when it was last heard of (MillisBehindLatest)",
        figure: Figure::OfShard(|shard| shard.behind_ms as f64 / 1e3),
    },
];

/// A watermark, once there is one.
pub fn watermark_us(us: i64) -> Option<i64> {
    Some(us).filter(|us| *us != MIN_US)
}

impl Metric {
    /// The name as Prometheus shows it.
    pub fn full_name(&self) -> String {
        let unit = self.unit.map_or(String::new(), |unit| format!("_{unit}"));
        let total = if self.figure.is_counter() { "_total" } else { "" };
        format!("pelton_{}{unit}{total}", self.name)
    }

    /// Every label, the job first.
    pub fn labels(&self) -> Vec<&'static str> {
        std::iter::once(JOB).chain(self.figure.labels().iter().copied()).collect()
    }

    /// Every series with the values of its labels.
    fn series(&self, live: &Live) -> Vec<(Vec<String>, f64)> {
        let all = live.by_partition();
        match self.figure {
            Figure::Counter(read) => vec![(Vec::new(), read(live) as f64)],
            Figure::Gauge(read) => read(live).map(|value| (Vec::new(), value)).into_iter().collect(),
            Figure::OfPartition(read) => {
                all.into_iter().filter_map(|(name, now)| Some((vec![name], read(&now)?))).collect()
            }
            Figure::OfPhase => {
                let phases = |(name, now): (String, Now)| {
                    now.took.named().map(|(phase, took)| (vec![name.clone(), phase.to_owned()], took.as_secs_f64()))
                };
                all.into_iter().flat_map(phases).collect()
            }
            Figure::OfShard(read) => {
                let shards = all.into_values().flat_map(|now| now.shards);
                shards.map(|(name, shard)| (vec![name], read(&shard))).collect()
            }
            Figure::OfRestarts(read) => {
                live.restarts().into_iter().map(|(name, restarts)| (vec![name], read(&restarts) as f64)).collect()
            }
        }
    }
}

#[derive(Debug)]
struct Figures(Arc<Live>);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for metric in METRICS {
            let unit = metric.unit.map(|unit| Unit::Other(unit.to_owned()));
            let series = metric.series(&self.0);
            if series.is_empty() {
                continue;
            }
            let kind = if metric.figure.is_counter() { MetricType::Counter } else { MetricType::Gauge };
            let mut encoder = encoder.encode_descriptor(metric.name, metric.help, unit.as_ref(), kind)?;
            for (values, value) in series {
                let labels: Vec<(&str, String)> = metric.figure.labels().iter().copied().zip(values).collect();
                match (metric.figure.is_counter(), labels.is_empty()) {
                    (true, true) => encoder.encode_counter::<NoLabelSet, u64, f64>(&(value as u64), None)?,
                    (false, true) => encoder.encode_gauge(&value)?,
                    (true, false) => ConstCounter::new(value as u64).encode(encoder.encode_family(&labels)?)?,
                    (false, false) => ConstGauge::new(value).encode(encoder.encode_family(&labels)?)?,
                }
            }
        }
        Ok(())
    }
}

/// What is asked for the figures of a job.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// The metrics of this job.
    pub fn new(job: &str, live: Arc<Live>) -> Self {
        let labels = [(JOB.into(), job.to_owned().into())];
        let mut registry = Registry::with_prefix_and_labels("pelton", labels.into_iter());
        registry.register_collector(Box::new(Figures(live)));
        Self(registry)
    }

    /// The text that Prometheus reads.
    pub fn text(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.0).expect("writing to a string does not fail");
        out
    }
}

/// `docs/reference/metrics.md`.
pub fn reference() -> String {
    let mut out = String::from(
        "# Metrics\n\nWritten from the table in `host/src/job/live/metrics.rs`; a test compares (`UPDATE=1` writes it anew).\n\n`pelton run JOB --metrics=127.0.0.1:9464` \
         serves them at `/metrics` for Prometheus; `/livez` answers 200 while the process serves, `/readyz` once shards are being read, else 503.\n\n\
         | name | type | unit | labels | what it says |\n|---|---|---|---|---|\n",
    );
    for metric in METRICS {
        let kind = if metric.figure.is_counter() { "counter" } else { "gauge" };
        let (name, unit, labels) = (metric.full_name(), metric.unit.unwrap_or(""), metric.labels().join(", "));
        writeln!(out, "| `{name}` | {kind} | {unit} | {labels} | {} |", metric.help)
            .expect("writing to a string does not fail");
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{
        job::live::Phases,
        state::{StateStore, rocksdb::RocksStore},
    };

    #[test]
    fn what_is_exported_is_what_the_table_names() {
        let live = Arc::new(Live::default());
        let home = tempfile::tempdir().unwrap();
        let kept: Arc<dyn StateStore> = Arc::new(RocksStore::open(home.path()).unwrap());
        let shard = super::super::ShardNow { behind_ms: 2_500, ..Default::default() };
        live.update("all", |now| {
            (now.watermark_us, now.state_bytes) = (1_500_000, Some(5));
            now.shards = [("in/s".to_owned(), shard)].into();
        });
        live.restarted("all", "once");
        live.call("w");
        live.keep_in(&kept);
        live.records.store(7, Relaxed);
        let text = Metrics::new("j", live).text();
        for metric in METRICS {
            let name = metric.full_name();
            let more = if metric.figure.labels().is_empty() { "} " } else { "," };
            assert!(text.contains(&format!("\n{name}{{job=\"j\"{more}")), "{name} is not in\n{text}");
        }
        assert!(text.contains("pelton_records_total{job=\"j\"} 7\n"), "{text}");
        assert!(text.contains("pelton_watermark_seconds{job=\"j\"} 1.5\n"), "{text}");
        assert!(text.contains("pelton_shard_behind_seconds{job=\"j\",shard=\"in/s\"} 2.5\n"), "{text}");
        assert!(text.contains("pelton_partition_restarts_total{job=\"j\",partition=\"all\"} 1\n"), "{text}");
        assert_eq!(text.matches("{job=").count(), METRICS.len() + Phases::default().named().len() - 1);
    }
}
