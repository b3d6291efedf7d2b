//! The plots of what was measured.

use std::{fs, io, path::Path};

use super::{
    Measured,
    growth::Growth,
    plot::Plot,
    work::{BLOCKS_OF_A_MODEL, BLOCKS_OF_A_SERVER, Costs},
};

pub(crate) fn write(measured: &Measured, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, plot) in
        all(measured).into_iter().filter(|(_, plot)| plot.lines.iter().all(|(_, points)| points.len() > 1))
    {
        fs::write(folder.join(name).with_extension("svg"), plot.svg())?;
    }
    Ok(())
}

fn all(measured: &Measured) -> Vec<(&'static str, Plot)> {
    assert_eq!((BLOCKS_OF_A_SERVER, BLOCKS_OF_A_MODEL), (8, 80), "the names of the lines say so");
    let by_size = |figure: fn(&Growth) -> f64| -> Vec<(f64, f64)> {
        measured.growth.iter().map(|growth| (growth.nodes as f64, figure(growth))).collect()
    };
    let growth = |title, y, lines| Plot { title, x: "nodes", y, logarithmic: true, lines };
    let by_churn = |how: fn(&super::churn::Churn) -> &Costs, figure: fn(&Costs) -> f64| -> Vec<(f64, f64)> {
        measured.churn.iter().map(|churn| (100.0 * churn.share, figure(how(churn)))).collect()
    };
    let churn = |title, y, figure: fn(&Costs) -> f64| Plot {
        title,
        x: "percent of the swarm",
        y,
        logarithmic: false,
        lines: vec![
            ("replaced one by one within 300 s", by_churn(|churn| &churn.replaced, figure)),
            ("vanished at once", by_churn(|churn| &churn.vanished, figure)),
        ],
    };
    let recovery = |title, y, lines| Plot {
        title,
        x: "seconds after half of the swarm has vanished",
        y,
        logarithmic: false,
        lines,
    };
    let steps = |figure: fn(&super::Step) -> f64| -> Vec<(f64, f64)> {
        measured.recovery.iter().map(|step| (step.at as f64, figure(step))).collect()
    };
    let percent = |costs: &Costs| 100.0 * costs.success();
    vec![
        (
            "rounds",
            growth(
                "Rounds of a lookup",
                "rounds",
                vec![
                    ("the most", by_size(|growth| growth.lookup.rounds.max())),
                    ("the mean", by_size(|growth| growth.lookup.rounds.mean())),
                    ("until the first value, the mean", by_size(|growth| growth.lookup.found_in.mean())),
                ],
            ),
        ),
        (
            "calls",
            growth(
                "Calls of a lookup and of an announcement",
                "calls",
                vec![
                    ("announcement of 8 records", by_size(|growth| growth.announcement.calls.mean())),
                    ("lookup of 1 key", by_size(|growth| growth.lookup.calls.mean())),
                    ("lookup of 80 keys", by_size(|growth| growth.reading.calls.mean())),
                ],
            ),
        ),
        (
            "bytes",
            growth(
                "Bytes of a lookup and of an announcement",
                "KiB",
                vec![
                    (
                        "announcement of 8 records",
                        by_size(|growth| growth.announcement.bytes.mean() / 1024.0),
                    ),
                    ("lookup of 1 key", by_size(|growth| growth.lookup.bytes.mean() / 1024.0)),
                    ("lookup of 80 keys", by_size(|growth| growth.reading.bytes.mean() / 1024.0)),
                ],
            ),
        ),
        (
            "idle",
            growth(
                "What an idle node serves within a minute",
                "calls",
                vec![("calls", by_size(|growth| growth.idle_calls))],
            ),
        ),
        ("success", churn("Lookups that find what was announced, and not renewed", "percent", percent)),
        ("churned_rounds", churn("Rounds of a lookup, the most", "rounds", |costs| costs.rounds.max())),
        ("churned_seconds", churn("Time of a lookup, the mean", "seconds", |costs| costs.seconds.mean())),
        (
            "load",
            Plot {
                title: "Calls that each node serves while everybody announces",
                x: "percent of the nodes, the least busy first",
                y: "calls a second",
                logarithmic: false,
                lines: vec![("", measured.load.iter().flat_map(load_curve).collect())],
            },
        ),
        (
            "recovery_found",
            recovery(
                "Recovery: what is found, and what tables still name",
                "percent",
                vec![
                    (
                        "lookups that find what living servers announce",
                        steps(|it| 100.0 * it.lookups.success()),
                    ),
                    ("members of tables that have gone", steps(|it| 100.0 * it.gone)),
                ],
            ),
        ),
        (
            "recovery_seconds",
            recovery(
                "Recovery: how long tasks take, the mean",
                "seconds",
                vec![
                    ("announcement", steps(|step| step.announcements.seconds.mean())),
                    ("lookup", steps(|step| step.lookups.seconds.mean())),
                ],
            ),
        ),
    ]
}

/// Calls that a node serves, over the share of nodes that serve fewer.
fn load_curve(load: &super::Load) -> Vec<(f64, f64)> {
    (0..=100).map(|percent| (f64::from(percent), load.calls.at(f64::from(percent) / 100.0))).collect()
}
