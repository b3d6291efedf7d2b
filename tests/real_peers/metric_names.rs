//! Alert rules and dashboard name no metric that a node does not have.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::{
    open_metrics::{self, Family},
    petald::{Config, Home},
    shared,
};

/// Each word of a text that begins like a metric of ours, and what follows it.
fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let starts = text.match_indices("petald_").map(|(at, _)| &text[at..]);
    starts.map(|rest| {
        let end = rest.find(|c: char| !(c == '_' || c.is_ascii_alphanumeric()));
        rest.split_at(end.unwrap_or(rest.len()))
    })
}

/// The names that samples of a family may have, whether or not there is one.
fn samples_of((family, Family { kind, .. }): (&String, &Family)) -> Vec<String> {
    open_metrics::suffixes(kind).iter().map(|suffix| format!("{family}{suffix}")).collect()
}

/// The only label in braces of a rule: `{layer="our_identity"} == 1`.
fn label(after: &str) -> Option<(&str, &str)> {
    after.strip_prefix('{')?.split_once('}')?.0.strip_suffix('"')?.split_once("=\"")
}

#[tokio::test]
async fn alerts_and_dashboard_name_what_is_there() {
    let _machine = shared().await;
    let file = |name: &str| {
        std::fs::read_to_string(format!("{}/config/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let (alerts, dashboard) = (file("prometheus/alerts.yaml"), file("grafana/petald.json"));
    let used: BTreeSet<&str> = named(&alerts).chain(named(&dashboard)).map(|(name, _)| name).collect();
    assert!(used.len() > 20, "{used:?}");

    let home = Home::new(&Config::default());
    let petald = home.run().await;
    let page = petald.get("/metrics").await.unwrap().body;
    let families: BTreeMap<String, Family> = open_metrics::read(&page).unwrap();
    let known: BTreeSet<String> = families.iter().flat_map(samples_of).collect();
    let unknown: Vec<_> = used.iter().filter(|name| !known.contains(**name)).collect();
    assert!(unknown.is_empty(), "a node does not tell {unknown:?}");

    // A rule on a line that is never told would never fire.
    let mut picked = named(&alerts).filter_map(|(name, after)| Some((name, label(after)?))).peekable();
    assert!(picked.peek().is_some(), "no rule picks a line by its label");
    for (name, (label, value)) in picked {
        let told = families[name].samples.iter();
        let told: BTreeSet<_> = told.filter_map(|(_, labels, _)| labels.get(label)).collect();
        assert!(told.iter().any(|is| *is == value), "{name} has no {label} {value:?}, but {told:?}");
    }
}
