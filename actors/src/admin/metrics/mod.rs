//! `GET /metrics`: the node in OpenMetrics text, made from what is known anyway when somebody asks for it. Nothing is
//! counted here: actors count, and tell with their probe reports; a counter of an actor begins anew with the actor, which
//! whoever reads counters expects.
//!
//! Format: OpenMetrics 1.0, <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

mod families;
mod samples;
mod sources;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, fmt};

use hivemind_proto::unary::LATENCY_BOUNDS;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::{self, Registry},
};

use self::families::FAMILIES;
use self::samples::{Sample, Value};
pub(super) use self::sources::Sources;

/// What the format is called.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every name begins with.
const PREFIX: &str = "petald";

/// A family of metrics: how it is declared, and where its samples come from.
struct Family {
    /// Without the prefix, the unit and `_total`, which follow from the rest.
    name: &'static str,
    unit: Option<Unit>,
    kind: MetricType,
    /// A sentence.
    help: &'static str,
    samples: fn(&Sources) -> Vec<Sample>,
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Seconds,
    Bytes,
}

/// The whole page.
pub(super) fn exposition(sources: Sources) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Page(sources)));
    let mut page = String::new();
    text::encode(&mut page, &registry)?;
    Ok(page)
}

#[derive(Debug)]
struct Page(Sources);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for family in FAMILIES {
            let unit = family.unit.map(|unit| match unit {
                Unit::Seconds => registry::Unit::Seconds,
                Unit::Bytes => registry::Unit::Bytes,
            });
            let mut metrics =
                encoder.encode_descriptor(family.name, family.help, unit.as_ref(), family.kind)?;
            for sample in (family.samples)(&self.0) {
                sample.encode(&mut metrics)?;
            }
        }
        Ok(())
    }
}

impl Sample {
    fn encode(&self, metrics: &mut MetricEncoder) -> fmt::Result {
        match &self.value {
            Value::Nothing => metrics.encode_info(&self.labels),
            value if self.labels.is_empty() => value.encode(metrics),
            value => value.encode(&mut metrics.encode_family(&self.labels)?),
        }
    }
}

impl Value {
    fn encode(&self, metric: &mut MetricEncoder) -> fmt::Result {
        let no_exemplar: Option<&Exemplar<NoLabelSet, f64>> = None;
        match self {
            Self::Nothing => Ok(()),
            Self::Gauge(value) => metric.encode_gauge(value),
            Self::Counter(count) => metric.encode_counter(count, no_exemplar),
            Self::Fractions(value) => metric.encode_counter(value, no_exemplar),
            Self::Histogram(latency) => {
                let bounds = LATENCY_BOUNDS.into_iter().chain([f64::INFINITY]);
                let buckets: Vec<(f64, u64)> = bounds.zip(latency.buckets.iter().copied()).collect();
                let no_exemplars: Option<&HashMap<usize, Exemplar<NoLabelSet, f64>>> = None;
                let seconds = latency.nanoseconds as f64 / 1e9;
                metric.encode_histogram(seconds, latency.count(), &buckets, no_exemplars)
            }
        }
    }
}
