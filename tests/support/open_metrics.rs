//! A strict reader of OpenMetrics 1.0 text: whatever the specification forbids, of what petald could write, is an error.
//!
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use std::collections::{BTreeMap, BTreeSet};

pub(crate) type Labels = BTreeMap<String, String>;

/// A family: its declaration and its samples, in order.
#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    pub(crate) unit: Option<String>,
    /// The whole name of each sample, its labels and its value.
    pub(crate) samples: Vec<(String, Labels, f64)>,
}

/// All families by their names, or the first line that is wrong.
pub(crate) fn read(text: &str) -> Result<BTreeMap<String, Family>, String> {
    let body = text.strip_suffix("# EOF\n").ok_or("it does not end in # EOF and a line feed")?;
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in body.lines() {
        let wrong = |what: &str| format!("{what}: {line:?}");
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (Some(what), Some(name), Some(rest)) = (words.next(), words.next(), words.next()) else {
                return Err(wrong("no declaration"));
            };
            if !is_name(name) {
                return Err(wrong("no name"));
            }
            if current.as_deref() != Some(name) {
                if families.contains_key(name) {
                    return Err(wrong("the family stands in two places"));
                }
                current = Some(name.to_owned());
            }
            let family = families.entry(name.to_owned()).or_default();
            if !family.samples.is_empty() {
                return Err(wrong("declared after its samples"));
            }
            let place = match what {
                "TYPE" => &mut family.kind,
                "HELP" => &mut family.help,
                "UNIT" => family.unit.insert(String::new()),
                _ => return Err(wrong("no declaration")),
            };
            if !std::mem::replace(place, rest.to_owned()).is_empty() {
                return Err(wrong("declared twice"));
            }
        } else {
            let (name, labels, value) = sample(line).map_err(|what| wrong(&what))?;
            let family = current.as_ref().and_then(|name| families.get_mut(name));
            let (Some(family), Some(declared)) = (family, &current) else { return Err(wrong("undeclared")) };
            let suffix = name.strip_prefix(declared.as_str()).ok_or_else(|| wrong("of another family"))?;
            if !suffixes(&family.kind).contains(&suffix) {
                return Err(wrong(&format!("no sample of a {}", family.kind)));
            }
            family.samples.push((name, labels, value));
        }
    }
    families.iter().try_for_each(|(name, family)| check(name, family))?;
    let all: Vec<&String> =
        families.values().flat_map(|family| &family.samples).map(|(name, ..)| name).collect();
    match families
        .keys()
        .find(|name| all.iter().any(|sample| sample == name) && families[*name].kind != "gauge")
    {
        Some(name) => Err(format!("{name} is a family and another's sample")),
        None => Ok(families),
    }
}

/// What the names of samples of a kind end in.
pub(crate) fn suffixes(kind: &str) -> &'static [&'static str] {
    match kind {
        "gauge" => &[""],
        "counter" => &["_total", "_created"],
        "info" => &["_info"],
        "histogram" => &["_bucket", "_sum", "_count", "_created"],
        _ => &[],
    }
}

fn check(name: &str, family: &Family) -> Result<(), String> {
    if suffixes(&family.kind).is_empty() {
        return Err(format!("{name} has the type {:?}", family.kind));
    }
    if let Some(unit) = &family.unit
        && !name.ends_with(&format!("_{unit}"))
    {
        return Err(format!("{name} does not end in its unit {unit}"));
    }
    let mut seen = BTreeSet::new();
    for (sample, labels, value) in &family.samples {
        if !seen.insert((sample, labels)) {
            return Err(format!("{sample} {labels:?} is there twice"));
        }
        let never_negative = family.kind == "counter" || family.kind == "histogram";
        if never_negative && !(value.is_finite() && *value >= 0.0) {
            return Err(format!("{sample} {labels:?} is {value}"));
        }
        if family.kind == "info" && *value != 1.0 {
            return Err(format!("{sample} is not 1"));
        }
    }
    if family.kind == "histogram" { check_histograms(name, family) } else { Ok(()) }
}

/// The lines of one histogram.
#[derive(Default)]
struct Histogram {
    /// Upper bounds and counts, in order.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    has_sum: bool,
}

fn check_histograms(name: &str, family: &Family) -> Result<(), String> {
    let mut histograms: BTreeMap<Labels, Histogram> = BTreeMap::new();
    for (sample, labels, value) in &family.samples {
        let mut labels = labels.clone();
        let bound = labels.remove("le");
        let histogram = histograms.entry(labels).or_default();
        match (sample.strip_prefix(name), bound) {
            (Some("_bucket"), Some(bound)) => {
                let bound = if bound == "+Inf" { f64::INFINITY } else { number(&bound)? };
                histogram.buckets.push((bound, *value));
            }
            (Some("_count"), None) => histogram.count = Some(*value),
            (Some("_sum"), None) => histogram.has_sum = true,
            (Some("_created"), None) => {}
            _ => return Err(format!("{sample} has le, or lacks it")),
        }
    }
    for (labels, Histogram { buckets, count, has_sum }) in histograms {
        let grow = buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
        let whole = buckets.last().is_some_and(|last| last.0 == f64::INFINITY && Some(last.1) == count);
        if !(grow && whole && has_sum) {
            return Err(format!("{name} {labels:?} is no histogram: {buckets:?}, {count:?}"));
        }
    }
    Ok(())
}

/// The name, the labels and the value of a line.
fn sample(line: &str) -> Result<(String, Labels, f64), String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    if !is_name(name) {
        return Err("no name".into());
    }
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or("no label")?;
            if !is_name(label) || label.contains(':') {
                return Err(format!("{label:?} is no label"));
            }
            let (value, after) = quoted(after)?;
            if labels.insert(label.to_owned(), value).is_some() {
                return Err(format!("{label} twice"));
            }
            match (after.strip_prefix(','), after.strip_prefix('}')) {
                (Some(next), _) => rest = next,
                (_, Some(next)) => {
                    rest = next;
                    break;
                }
                _ => return Err("the labels do not end".into()),
            }
        }
    }
    Ok((name.to_owned(), labels, number(rest.strip_prefix(' ').ok_or("no value")?)?))
}

/// The text up to the closing quote, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                Some((_, 'n')) => value.push('\n'),
                _ => return Err("no such escape".into()),
            },
            other => value.push(other),
        }
    }
    Err("no closing quote".into())
}

/// No timestamps and no exemplars: petald writes none.
fn number(text: &str) -> Result<f64, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if !plain && !["NaN", "+Inf", "-Inf"].contains(&text) {
        return Err(format!("{text:?} is no number"));
    }
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

fn is_name(text: &str) -> bool {
    let part = |byte: u8| byte == b'_' || byte == b':' || byte.is_ascii_alphanumeric();
    text.bytes().all(part) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[test]
fn it_reads_what_is_allowed_and_refuses_what_is_not() {
    let good = "# HELP a_seconds Help.\n# TYPE a_seconds histogram\n# UNIT a_seconds seconds\n\
        a_seconds_sum{m=\"x\\\"\\n\"} 0.5\na_seconds_count{m=\"x\\\"\\n\"} 3\n\
        a_seconds_bucket{le=\"1.0\",m=\"x\\\"\\n\"} 1\na_seconds_bucket{le=\"+Inf\",m=\"x\\\"\\n\"} 3\n\
        # TYPE b counter\nb_total 1e3\n# TYPE c gauge\nc{d=\"\"} NaN\nc -1.5\n# EOF\n";
    let families = read(good).unwrap();
    assert_eq!(families["a_seconds"].samples[0].1["m"], "x\"\n");
    assert_eq!((families["b"].samples[0].2, families["c"].samples.len()), (1000.0, 2));
    for bad in [
        "",
        "# TYPE a gauge\na 1\n",
        "# TYPE a gauge\na 1\n# EOF",
        "# TYPE a gauge\n# EOF\na 1\n",
        "# TYPE a gauge\na 1\na 1\n# EOF\n",
        "# TYPE a gauge\na 1\n# HELP a Late.\n# EOF\n",
        "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\n# EOF\n",
        "# TYPE a gauge\n# TYPE a gauge\n# EOF\n",
        "# TYPE a gauge\n# UNIT a seconds\n# EOF\n",
        "# TYPE a counter\na 1\n# EOF\n",
        "# TYPE a counter\na_total -1\n# EOF\n",
        "# TYPE a counter\na_total NaN\n# EOF\n",
        "# TYPE a weather\n# EOF\n",
        "# TYPE a gauge\na\n# EOF\n",
        "# TYPE a gauge\na one\n# EOF\n",
        "# TYPE a gauge\na{b=\"1\",b=\"2\"} 1\n# EOF\n",
        "# TYPE a gauge\na{b=\"1} 1\n# EOF\n",
        "# TYPE a gauge\na{b=\"\\x\"} 1\n# EOF\n",
        "# TYPE a gauge\na{} 1\n# EOF\n",
        "# TYPE a gauge\n\na 1\n# EOF\n",
        "# TYPE a gauge\nb 1\n# EOF\n",
        "b 1\n# EOF\n",
        "# TYPE a histogram\na_sum 1\na_count 2\na_bucket{le=\"1\"} 1\n# EOF\n",
        "# TYPE a histogram\na_sum 1\na_count 2\na_bucket{le=\"+Inf\"} 1\n# EOF\n",
        "# TYPE a histogram\na_sum 1\na_count 1\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\n# EOF\n",
    ] {
        assert!(read(bad).is_err(), "accepted: {bad:?}");
    }
}
