//! One value of the config, as a parser sees it: typed in a TOML file, plain text in the environment and `--set`.

use ::config::{Value, ValueKind};

use super::problem::{Origin, Problem};

/// What a parser gives back: the value, or everything that is wrong with it.
pub(super) type Parsed<T> = Result<T, Vec<Problem>>;

/// One value with its key and the place where it was written.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) path: String,
    pub(super) origin: Origin,
    pub(super) value: Value,
    /// Of its items, if it is an array.
    pub(super) places: Vec<Origin>,
}

impl Entry {
    /// What a parser returns for this entry if it is wrong.
    pub(super) fn wrong<T>(&self, what: impl Into<String>, remedy: impl Into<String>) -> Parsed<T> {
        Err(vec![Problem {
            origin: Some(self.origin.clone()),
            key: self.path.clone(),
            what: what.into(),
            remedy: remedy.into(),
        }])
    }

    /// A string. From the environment and `--set` the text is taken as it is, or in TOML's quotes.
    pub(super) fn text(&self) -> Parsed<String> {
        match &self.value.kind {
            ValueKind::String(text) if self.origin.is_text() && text.starts_with(['"', '\'']) => {
                match toml_value(text) {
                    Some(toml::Value::String(unquoted)) => Ok(unquoted),
                    _ => Ok(text.clone()),
                }
            }
            ValueKind::String(text) => Ok(text.clone()),
            _ => self.unexpected("a string in quotes"),
        }
    }

    /// A whole number.
    pub(super) fn integer(&self) -> Parsed<i64> {
        let expected = "a whole number";
        match &self.value.kind {
            ValueKind::I64(number) => Ok(*number),
            ValueKind::String(text) if self.origin.is_text() => {
                text.trim().parse().or_else(|_| self.unexpected(expected))
            }
            _ => self.unexpected(expected),
        }
    }

    /// A number; a whole one will do.
    pub(super) fn float(&self) -> Parsed<f64> {
        let expected = "a number";
        match &self.value.kind {
            ValueKind::Float(number) => Ok(*number),
            // The operator means the same by 3 and 3.0; what goes on the wire is a double either way.
            ValueKind::I64(number) => Ok(*number as f64),
            ValueKind::String(text) if self.origin.is_text() => {
                text.trim().parse().or_else(|_| self.unexpected(expected))
            }
            _ => self.unexpected(expected),
        }
    }

    /// True or false.
    pub(super) fn boolean(&self) -> Parsed<bool> {
        let expected = "true or false";
        match &self.value.kind {
            ValueKind::Boolean(yes) => Ok(*yes),
            ValueKind::String(text) if self.origin.is_text() => {
                text.trim().parse().or_else(|_| self.unexpected(expected))
            }
            _ => self.unexpected(expected),
        }
    }

    /// The items of an array. In the environment and in `--set`: a TOML array, or items with commas
    /// between them; an empty text is an empty array.
    pub(super) fn items(&self) -> Parsed<Vec<Entry>> {
        let item = |index: usize, value: Value| Entry {
            path: format!("{}[{index}]", self.path),
            origin: self.places.get(index).unwrap_or(&self.origin).clone(),
            value,
            places: Vec::new(),
        };
        let items: Vec<Value> = match &self.value.kind {
            ValueKind::Array(items) => items.clone(),
            ValueKind::String(text) if self.origin.is_text() && text.trim_start().starts_with('[') => {
                match toml_value(text) {
                    Some(toml::Value::Array(items)) => items.into_iter().map(plain).collect(),
                    _ => return self.wrong("is not a TOML array", "write it as ['a', 'b'] or a,b"),
                }
            }
            ValueKind::String(text) if self.origin.is_text() => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                items.map(|item| Value::new(None, item)).collect()
            }
            _ => return self.unexpected("an array of strings"),
        };
        Ok(items.into_iter().enumerate().map(|(index, value)| item(index, value)).collect())
    }

    fn unexpected<T>(&self, expected: &str) -> Parsed<T> {
        self.wrong(format!("is {}", kind_name(&self.value.kind)), format!("expected {expected}"))
    }
}

fn toml_value(text: &str) -> Option<toml::Value> {
    toml::from_str::<toml::Table>(&format!("value = {}", text.trim())).ok()?.remove("value")
}

fn plain(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::new(None, text),
        other => Value::new(None, other.to_string()),
    }
}

pub(super) fn kind_name(kind: &ValueKind) -> String {
    match kind {
        ValueKind::Nil => "empty".into(),
        ValueKind::Boolean(yes) => format!("{yes}"),
        ValueKind::Float(number) => format!("the number {number}"),
        ValueKind::String(text) => format!("the text {text:?}"),
        ValueKind::Table(_) => "a table".into(),
        ValueKind::Array(_) => "an array".into(),
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            format!("the number {kind}")
        }
    }
}
