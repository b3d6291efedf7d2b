//! The lines of a family, made from what is known.

use std::collections::BTreeMap;

use hivemind_proto::unary::Latency;
use serde::Serialize;
use serde_json::Value as Json;

use super::Sources;
use crate::{observer::messages::BlockReport, supervisor::ActorStatus};

/// Blocks that have lines of their own; no model has as many.
const MOST_BLOCKS: usize = 1024;

/// One line of a family, or one histogram.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) labels: Vec<(&'static str, String)>,
    pub(super) value: Value,
}

#[derive(Debug, Default)]
pub(super) enum Value {
    /// A family of kind info has labels only.
    #[default]
    Nothing,
    Gauge(f64),
    Counter(u64),
    /// A counter of something that comes in fractions.
    Fractions(f64),
    Histogram(Latency),
}

/// The only line of a gauge, if its value is known.
pub(super) fn one(value: impl Into<Option<f64>>) -> Vec<Sample> {
    let value = value.into();
    value.map(|value| Sample { value: Value::Gauge(value), ..Sample::default() }).into_iter().collect()
}

/// The only line of a counter, if its value is known.
pub(super) fn count(value: Option<u64>) -> Vec<Sample> {
    value.map(|value| Sample { value: Value::Counter(value), ..Sample::default() }).into_iter().collect()
}

pub(super) fn labelled(label: &'static str, of: String, value: Value) -> Sample {
    Sample { labels: vec![(label, of)], value }
}

pub(super) fn gauge_of(label: &'static str, of: String, value: f64) -> Sample {
    labelled(label, of, Value::Gauge(value))
}

pub(super) fn flag(label: &'static str, of: &impl Serialize, up: bool) -> Sample {
    gauge_of(label, word(of), f64::from(u8::from(up)))
}

pub(super) fn by<const N: usize>(label: &'static str, counts: [(&str, u64); N]) -> Vec<Sample> {
    counts.map(|(of, count)| labelled(label, of.to_owned(), Value::Counter(count))).into()
}

pub(super) fn of_actors(sources: &Sources, value: fn(&ActorStatus) -> Value) -> Vec<Sample> {
    sources.actors().map(|actor| labelled("actor", actor.name.clone(), value(actor))).collect()
}

pub(super) fn of_blocks(sources: &Sources, value: fn(&BlockReport) -> Option<f64>) -> Vec<Sample> {
    let blocks = sources.opinion.look.iter().flat_map(|look| &look.blocks).take(MOST_BLOCKS);
    blocks.filter_map(|block| Some(gauge_of("block", block.block.to_string(), value(block)?))).collect()
}

type Methods<'a> = Option<&'a BTreeMap<String, Latency>>;

pub(super) fn histograms(methods: Methods<'_>) -> Vec<Sample> {
    let methods = methods.into_iter().flatten();
    methods
        .map(|(name, latency)| labelled("method", name.clone(), Value::Histogram(latency.clone())))
        .collect()
}

pub(super) fn errors(methods: Methods<'_>) -> Vec<Sample> {
    let methods = methods.into_iter().flatten();
    methods.map(|(name, latency)| labelled("method", name.clone(), Value::Counter(latency.errors))).collect()
}

/// A value's name in JSON: the same word in every answer of the API.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Json::String(word)) => word,
        other => format!("{other:?}"),
    }
}

/// The counters of a struct, by name.
pub(super) fn fields(counters: &impl Serialize) -> Vec<(String, u64)> {
    let Ok(Json::Object(fields)) = serde_json::to_value(counters) else { return vec![] };
    fields.into_iter().filter_map(|(name, count)| Some((name, count.as_u64()?))).collect()
}
