//! Every metric of a running job, once: name, type, unit, help, and where the figure comes from.
//!
//! The rule: nothing is exported that is not in [`METRICS`]; `docs/reference/metrics.md` is written from it. Each carries one label, the
//! job, so there are never more series than rows here. Left to others: who counts (`live`), how it is asked for (`cli`).

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use super::live::{Live, Now};
use crate::record::MIN_US;

/// How a figure behaves.
#[derive(Clone, Copy, Debug)]
pub enum Figure {
    /// grows only, and starts at 0 with the process
    Counter(fn(&Live) -> u64),
    /// stands where it stands; none: not known yet, and not exported
    Gauge(fn(&Live) -> Option<f64>),
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

/// The labels of every metric.
pub const LABELS: &[&str] = &["job"];

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
        figure: Figure::Gauge(|live| watermark_us(&live.now()).map(|us| us as f64 / 1e6)),
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
];

/// The watermark, once there is one.
pub fn watermark_us(now: &Now) -> Option<i64> {
    Some(now.watermark_us).filter(|us| *us != MIN_US)
}

impl Metric {
    /// The name as Prometheus shows it.
    pub fn full_name(&self) -> String {
        let unit = self.unit.map_or(String::new(), |unit| format!("_{unit}"));
        let total = if matches!(self.figure, Figure::Counter(_)) { "_total" } else { "" };
        format!("pelton_{}{unit}{total}", self.name)
    }
}

#[derive(Debug)]
struct Figures(Arc<Live>);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for metric in METRICS {
            let unit = metric.unit.map(|unit| Unit::Other(unit.to_owned()));
            match metric.figure {
                Figure::Counter(read) => encoder
                    .encode_descriptor(metric.name, metric.help, unit.as_ref(), MetricType::Counter)?
                    .encode_counter::<NoLabelSet, u64, f64>(&read(&self.0), None)?,
                Figure::Gauge(read) => {
                    let Some(value) = read(&self.0) else { continue };
                    encoder
                        .encode_descriptor(metric.name, metric.help, unit.as_ref(), MetricType::Gauge)?
                        .encode_gauge(&value)?;
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
        let labels = [(LABELS[0].into(), job.to_owned().into())];
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
        "# Metrics\n\nWritten from the table in `host/src/job/metrics.rs`; a test compares (`UPDATE=1` writes it anew).\n\n`pelton run JOB --metrics=127.0.0.1:9464` \
         serves them at `/metrics` for Prometheus; `/livez` answers 200 while the process serves, `/readyz` once shards are being read, else 503.\n\n\
         | name | type | unit | labels | what it says |\n|---|---|---|---|---|\n",
    );
    for metric in METRICS {
        let kind = match metric.figure {
            Figure::Counter(_) => "counter",
            Figure::Gauge(_) => "gauge",
        };
        let (name, unit, labels) = (metric.full_name(), metric.unit.unwrap_or(""), LABELS.join(", "));
        writeln!(out, "| `{name}` | {kind} | {unit} | {labels} | {} |", metric.help)
            .expect("writing to a string does not fail");
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_exported_is_what_the_table_names() {
        let live = Arc::new(Live::default());
        live.update("all", |now| now.watermark_us = 1_500_000);
        live.records.store(7, Relaxed);
        let text = Metrics::new("j", live).text();
        for metric in METRICS {
            let name = metric.full_name();
            assert!(text.contains(&format!("\n{name}{{job=\"j\"}} ")), "{name} is not in\n{text}");
        }
        assert!(text.contains("pelton_records_total{job=\"j\"} 7\n"), "{text}");
        assert!(text.contains("pelton_watermark_seconds{job=\"j\"} 1.5\n"), "{text}");
        assert_eq!(text.matches("{job=").count(), METRICS.len());
    }
}
