//! The layers of the config, and where each key was written.
//!
//! The `config` crate merges the layers, later ones win: built-in defaults, the file, the
//! environment, `--set`. It does not tell where a value came from, so beside it every layer
//! leaves the place of each of its keys in [`Places`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ::config::{Environment, File, FileFormat, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Origin, Problem};

/// What stands before every environment variable that is config.
const ENVIRONMENT_PREFIX: &str = "PETALD";
/// What stands between the parts of a key in an environment variable.
const ENVIRONMENT_SEPARATOR: &str = "__";

/// Where each key was written last, by its path (`network.listen`, `network.listen[0]`).
#[derive(Debug, Clone, Default)]
pub(super) struct Places(BTreeMap<String, Origin>);

impl Places {
    /// Where a key was written.
    pub(super) fn get(&self, path: &str) -> Option<&Origin> {
        self.0.get(path)
    }

    /// Whether the operator wrote the section, or any key in it.
    pub(super) fn given(&self, section: &str) -> bool {
        self.0.iter().any(|(path, origin)| {
            let rest = path.strip_prefix(section);
            *origin != Origin::Defaults && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Puts what `other` knows of a key, and of all below it, in the place of what is known here.
    pub(super) fn copy(&mut self, path: &str, other: &Self) {
        let below = |known: &str| {
            known.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.0.retain(|known, _| !below(known));
        let theirs = other.0.iter().filter(|(known, _)| below(known));
        self.0.extend(theirs.map(|(known, origin)| (known.clone(), origin.clone())));
    }

    fn put(&mut self, path: &str, origin: Origin) {
        self.0.insert(path.to_owned(), origin);
    }
}

/// A file's text and the name to use for it in messages.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) name: Arc<Path>,
    pub(super) text: String,
}

/// Everything that is layered over the defaults.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) file: Option<Document>,
    /// Environment variables, already filtered to ours.
    pub(super) environment: BTreeMap<String, String>,
    /// `--set` arguments, in order.
    pub(super) arguments: Vec<(String, String)>,
}

/// Picks our variables out of the environment; one that is not Unicode is a problem.
pub(super) fn environment(
    variables: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
) -> (BTreeMap<String, String>, Vec<Problem>) {
    let prefix = format!("{ENVIRONMENT_PREFIX}{ENVIRONMENT_SEPARATOR}");
    let (mut ours, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, value) in variables {
        let Ok(name) = name.into_string() else { continue };
        if !name.starts_with(&prefix) {
            continue;
        }
        match value.into_string() {
            Ok(value) => {
                ours.insert(name, value);
            }
            Err(_) => problems.push(Problem {
                key: variable_key(&name),
                origin: Some(Origin::Environment(name)),
                what: "is not valid Unicode".into(),
                remedy: String::new(),
            }),
        }
    }
    (ours, problems)
}

/// What all layers come to.
#[derive(Debug, Clone)]
pub(super) struct Merged {
    /// A table of sections.
    pub(super) root: Value,
    pub(super) places: Places,
}

/// Merges all layers. `Err` if a document cannot be parsed at all.
pub(super) fn merge(defaults: &str, layers: &Layers) -> Result<Merged, Vec<Problem>> {
    let mut places = Places::default();
    let mut builder = ::config::Config::builder();

    places.put_document(defaults, &mut |_| Origin::Defaults)?;
    builder = builder.add_source(File::from_str(defaults, FileFormat::Toml));
    if let Some(Document { name, text }) = &layers.file {
        places.put_document(text, &mut |line| Origin::File { file: name.clone(), line })?;
        builder = builder.add_source(File::from_str(text, FileFormat::Toml));
    }
    for name in layers.environment.keys() {
        places.put_text(&variable_key(name), Origin::Environment(name.clone()));
    }
    builder = builder.add_source(
        Environment::with_prefix(ENVIRONMENT_PREFIX)
            .separator(ENVIRONMENT_SEPARATOR)
            .source(Some(layers.environment.clone().into_iter().collect())),
    );
    let whole = |error: ::config::ConfigError| {
        vec![Problem { origin: None, key: String::new(), what: error.to_string(), remedy: String::new() }]
    };
    for (key, text) in &layers.arguments {
        places.put_text(key, Origin::Argument);
        builder = builder.set_override(key, text.as_str()).map_err(whole)?;
    }
    Ok(Merged { root: builder.build().map_err(whole)?.cache, places })
}

fn variable_key(name: &str) -> String {
    let key = name.split_once(ENVIRONMENT_SEPARATOR).map_or("", |(_, key)| key);
    key.to_lowercase().replace(ENVIRONMENT_SEPARATOR, ".")
}

impl Places {
    /// A key of the environment or of `--set`; the sections on the way to it count as written too.
    fn put_text(&mut self, key: &str, origin: Origin) {
        for (at, _) in key.match_indices('.') {
            self.0.entry(key[..at].to_owned()).or_insert_with(|| origin.clone());
        }
        self.put(key, origin);
    }

    fn put_document(
        &mut self,
        text: &str,
        origin: &mut dyn FnMut(usize) -> Origin,
    ) -> Result<(), Vec<Problem>> {
        let (document, errors) = DeTable::parse_recoverable(text);
        let mut at = |offset: usize| origin(1 + text[..offset.min(text.len())].matches('\n').count());
        if !errors.is_empty() {
            let problem = |error: &toml::de::Error| Problem {
                origin: error.span().map(|span| at(span.start)),
                key: String::new(),
                what: format!("is not valid TOML: {}", error.message().replace('\n', ", ")),
                remedy: String::new(),
            };
            return Err(errors.iter().map(problem).collect());
        }
        self.put_table("", document.get_ref(), &mut at);
        Ok(())
    }

    fn put_table(&mut self, path: &str, table: &DeTable<'_>, at: &mut dyn FnMut(usize) -> Origin) {
        for (key, value) in table {
            let path = join(path, key.get_ref());
            self.put(&path, at(key.span().start));
            self.put_value(&path, value, at);
        }
    }

    fn put_value(&mut self, path: &str, value: &Spanned<DeValue<'_>>, at: &mut dyn FnMut(usize) -> Origin) {
        match value.get_ref() {
            DeValue::Table(table) => self.put_table(path, table, at),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.put(&format!("{path}[{index}]"), at(item.span().start));
                }
            }
            _ => {}
        }
    }
}

/// The path of `key` inside the section `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
