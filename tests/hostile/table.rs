//! What a load cost, as a line of a table, and what of it is too much.

use std::{fmt, time::Duration};

use serde_json::Value;

use super::{
    attack::is_back,
    honest::Seen,
    target::{MOST_FILES, MOST_MEMORY, Usage},
};

/// Of an honest poll, in milliseconds, at the 99th percentile.
const MOST_MILLISECONDS: f64 = 250.0;

/// The least time in which percentiles and memory say something.
pub(crate) const LONG: u64 = 30;

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) seen: Seen,
    pub(crate) before: Usage,
    pub(crate) most: Usage,
    pub(crate) after: Usage,
    pub(crate) recovery: Duration,
    /// What petald says of itself afterwards.
    pub(crate) node: Result<Value, String>,
}

impl Row {
    pub(crate) const HEAD: &str = "load           polls answered   connected p50    p99  strangers p99  python p99  \
                                   MiB before  most  after  files before  most  after  cpu s  back after";

    /// What is not as it must be.
    pub(crate) fn faults(&self, seconds: u64) -> Vec<String> {
        let mut faults = Vec::new();
        let Seen { connected, strangers, python } = &self.seen;
        for (who, polls) in [("connected", connected), ("stranger", strangers), ("python", python)] {
            if let Some(first) = polls.failures.first() {
                let (failed, all) = (polls.failures.len(), polls.failures.len() + polls.took.len());
                faults.push(format!("{who}: {failed} of {all} polls failed; the first: {first}"));
            }
            let p99 = polls.quantile(0.99);
            if seconds >= LONG && p99 > MOST_MILLISECONDS {
                faults.push(format!("{who}: p99 of {p99:.0} ms"));
            }
        }
        if self.most.memory > MOST_MEMORY {
            faults.push(format!(
                "{} MiB, more than the config allows ({})",
                self.most.memory >> 20,
                MOST_MEMORY >> 20
            ));
        }
        if self.most.files > MOST_FILES {
            faults.push(format!("{} files, more than the config allows ({MOST_FILES})", self.most.files));
        }
        if seconds >= LONG && !is_back(self.before, self.after) {
            faults.push(format!(
                "not back to within a tenth of what it was after {:.0} s",
                self.recovery.as_secs_f64()
            ));
        }
        match &self.node {
            Err(error) => faults.push(format!("the admin API: {error}")),
            Ok(node) => {
                if node["stray_panics"].as_u64() != Some(0) {
                    faults.push(format!("panics: {}", node["stray_panics"]));
                }
                let actors = node["actors"].as_array().into_iter().flatten();
                for actor in actors.filter(|actor| actor["restarts"].as_u64() != Some(0)) {
                    faults.push(format!("an actor was restarted: {actor}"));
                }
            }
        }
        faults
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen { connected, strangers, python } = &self.seen;
        let all = [connected, strangers, python];
        let answered: usize = all.iter().map(|polls| polls.took.len()).sum();
        let failed: usize = all.iter().map(|polls| polls.failures.len()).sum();
        let (before, most, after) = (self.before, self.most, self.after);
        write!(
            f,
            "{:<14} {:>14} {:>15.1} {:>6.1} {:>14.1} {:>11.1} {:>11} {:>5} {:>6} {:>13} {:>5} {:>6} {:>6.1} {:>9.1} s",
            self.name,
            format!("{answered}/{}", answered + failed),
            connected.quantile(0.5),
            connected.quantile(0.99),
            strangers.quantile(0.99),
            python.quantile(0.99),
            before.memory >> 20,
            most.memory >> 20,
            after.memory >> 20,
            before.files,
            most.files,
            after.files,
            most.cpu_seconds - before.cpu_seconds,
            self.recovery.as_secs_f64(),
        )
    }
}
