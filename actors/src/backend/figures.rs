//! What a model server says of itself: a JSON object, of which these fields are read and all others passed over.
//!
//! | field | is |
//! | --- | --- |
//! | `throughput`, `network_rps`, `forward_rps`, `inference_rps` | a number of at least 0 |
//! | `cache_tokens_left` | a whole number of at least 0 |
//!
//! A field that is absent or null says nothing. One that is wrong is refused and changes nothing; the others count.
//! What does not begin as an object, such as `ok`, is no statement and no error.

use std::collections::BTreeMap;

use hivemind_proto::records::Rps;
use serde::Deserialize;
use serde_json::Value;

use super::check::{LARGEST_STATEMENT_BYTES, Statement};
use crate::server_info::messages::Change;

/// What was refused, by its field or what stands for the whole, and why.
pub(super) type Refusals = BTreeMap<&'static str, String>;

/// Stands for the whole statement among the refusals.
const STATEMENT: &str = "statement";

#[derive(Deserialize)]
struct Figures {
    throughput: Option<Value>,
    network_rps: Option<Value>,
    forward_rps: Option<Value>,
    inference_rps: Option<Value>,
    cache_tokens_left: Option<Value>,
}

/// Reads a statement: what it changes, and what of it is refused.
pub(super) fn read(statement: &Statement) -> (Change, Refusals) {
    let mut refused = Refusals::new();
    let bytes = match statement {
        Statement::TooLarge => {
            refused.insert(STATEMENT, format!("is larger than {LARGEST_STATEMENT_BYTES} bytes"));
            return (Change::default(), refused);
        }
        Statement::Whole(bytes) => bytes.trim_ascii_start(),
    };
    if bytes.first() != Some(&b'{') {
        return (Change::default(), refused);
    }
    let figures: Figures = match serde_json::from_slice(bytes) {
        Ok(figures) => figures,
        Err(error) => {
            refused.insert(STATEMENT, format!("is not the JSON that is expected: {error}"));
            return (Change::default(), refused);
        }
    };
    let mut taken = |name, value: Option<Value>| match value.as_ref().map(rps)? {
        Ok(rps) => Some(rps),
        Err(why) => {
            refused.insert(name, why);
            None
        }
    };
    let change = Change {
        throughput: taken("throughput", figures.throughput),
        network_rps: taken("network_rps", figures.network_rps),
        forward_rps: taken("forward_rps", figures.forward_rps),
        inference_rps: taken("inference_rps", figures.inference_rps),
        ..Change::default()
    };
    let cache_tokens_left = figures.cache_tokens_left.and_then(|value| {
        let tokens = value.as_u64();
        if tokens.is_none() {
            refused.insert("cache_tokens_left", "is not a whole number of at least 0".into());
        }
        tokens
    });
    (Change { cache_tokens_left, ..change }, refused)
}

fn rps(value: &Value) -> Result<Rps, String> {
    let number = value.as_f64().ok_or("is not a number")?;
    Rps::try_from(number).map_err(|error| error.to_string())
}

/// Whatever a model server says, what is refused of it is told in a few words: see [`crate::fuzzing`].
#[cfg(any(test, fuzzing))]
pub(crate) fn judge(statement: &[u8]) {
    let (_, refused) = read(&Statement::Whole(statement.to_vec()));
    assert!(refused.values().all(|why| why.len() < 1024));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> (Change, Refusals) {
        read(&Statement::Whole(text.into()))
    }

    fn rate(number: f64) -> Option<Rps> {
        Some(Rps::try_from(number).unwrap())
    }

    #[test]
    fn figures_are_read_and_the_rest_is_passed_over() {
        let (change, refused) = whole(
            r#" {"throughput": 3, "network_rps": 1.5, "forward_rps": null, "inference_rps": 0.0,
                "cache_tokens_left": 8192, "state": "online", "more": [{}]}"#,
        );
        let expected = Change {
            throughput: rate(3.0),
            network_rps: rate(1.5),
            inference_rps: rate(0.0),
            cache_tokens_left: Some(8192),
            ..Change::default()
        };
        assert_eq!((change, refused), (expected, Refusals::new()));
    }

    #[test]
    fn what_is_no_statement_is_no_error() {
        for text in ["", "ok", "\n", "[1]", "3", "<html>", "\u{feff}{}"] {
            assert_eq!(whole(text), (Change::default(), Refusals::new()), "{text}");
        }
    }

    #[test]
    fn what_no_record_may_hold_is_refused_and_the_others_count() {
        for (field, value) in [
            ("throughput", "-1"),
            ("throughput", "\"3\""),
            ("network_rps", "true"),
            ("forward_rps", "[]"),
            ("inference_rps", "-0.5"),
            ("cache_tokens_left", "-1"),
            ("cache_tokens_left", "1.5"),
            ("cache_tokens_left", "18446744073709551616"),
            ("cache_tokens_left", "\"1\""),
        ] {
            let other = if field == "throughput" { "network_rps" } else { "throughput" };
            let (change, refused) = whole(&format!(r#"{{"{field}": {value}, "{other}": 7.0}}"#));
            assert_eq!(refused.keys().copied().collect::<Vec<_>>(), [field], "{field} = {value}");
            let expected = match other {
                "throughput" => Change { throughput: rate(7.0), ..Change::default() },
                _ => Change { network_rps: rate(7.0), ..Change::default() },
            };
            assert_eq!(change, expected, "{field} = {value}");
        }
    }

    #[test]
    fn garbage_changes_nothing() {
        for text in [
            "{",
            "{\"throughput\": NaN}",
            "{\"throughput\": 1e999}",
            "{\"throughput\": 1}}",
            "{\"throughput\": 1, \"throughput\": 2}",
            &format!("{{\"x\": {}", "[".repeat(60_000)),
        ] {
            let (change, refused) = whole(text);
            assert_eq!(change, Change::default(), "{text}");
            assert!(refused["statement"].len() < 200, "{refused:?}");
        }
        assert_eq!(read(&Statement::TooLarge).1.len(), 1);
    }
}
