//! Where events go: a folder of rolling files and the console (stderr).
//!
//! Both are written by threads of their own behind bounded queues, so that a slow disk or a terminal
//! that nobody reads costs log lines, never a late answer to a peer.

use std::io::{self, IsTerminal};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use petald_actors::durable;
use tracing::Subscriber;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{self, Directives, Format};

/// Lines that wait for the disk or the console; at 200 bytes each, under 2 MiB.
const WAITING_LINES: usize = 8192;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoggingError {
    /// The folder or the first file cannot be made.
    #[error("cannot log to {}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The config let a filter pass that is none.
    #[error(transparent)]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Somebody in this process logs already.
    #[error(transparent)]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// The log of this process. What still waits is written when it is dropped.
#[must_use = "events are lost once it is dropped"]
#[derive(Debug)]
pub(crate) struct Logging {
    _writers: Vec<WorkerGuard>,
}

impl Logging {
    /// Sends the events of this process to `folder` and the console from now on.
    pub(crate) fn start(config: &config::Log, folder: &Path) -> Result<Self, LoggingError> {
        let (subscriber, logging) = layers(config, folder)?;
        subscriber.try_init()?;
        Ok(logging)
    }
}

fn layers(
    config: &config::Log,
    folder: &Path,
) -> Result<(impl Subscriber + Send + Sync + use<>, Logging), LoggingError> {
    let mut writers = Vec::new();
    let (files, guard) = writer("log-files", files(config.rotation, config.keep, folder)?);
    writers.push(guard);
    let files = layer(config.format, files, false, &config.level)?;
    let console = match &config.console {
        None => None,
        Some(level) => {
            let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let (console, guard) = writer("log-console", io::stderr());
            writers.push(guard);
            Some(layer(config.format, console, colours, level)?)
        }
    };
    let subscriber = tracing_subscriber::registry().with(files).with(console);
    Ok((subscriber, Logging { _writers: writers }))
}

fn files(
    rotation: config::Rotation,
    keep: NonZeroU32,
    folder: &Path,
) -> Result<RollingFileAppender, LoggingError> {
    let rotation = match rotation {
        config::Rotation::Daily => Rotation::DAILY,
        config::Rotation::Hourly => Rotation::HOURLY,
        config::Rotation::Never => Rotation::NEVER,
    };
    let failed = |source| LoggingError::Folder { folder: folder.into(), source };
    durable::create_folder(folder).map_err(failed)?;
    RollingFileAppender::builder()
        .rotation(rotation)
        .filename_prefix("petald")
        .filename_suffix("log")
        .max_log_files(keep.get() as usize)
        .build(folder)
        .map_err(|error| failed(io::Error::other(error)))
}

fn writer(thread: &str, to: impl io::Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .thread_name(thread)
        .finish(to)
}

fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(
    format: Format,
    writer: NonBlocking,
    colours: bool,
    level: &Directives,
) -> Result<Box<dyn Layer<S> + Send + Sync>, LoggingError> {
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    let filter = level.filter()?;
    Ok(match format {
        Format::Text => layer.with_filter(filter).boxed(),
        Format::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Config;

    fn config(arguments: &[(&str, &str)]) -> config::Log {
        let arguments: Vec<_> =
            arguments.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Config::load(None, &arguments).unwrap().log
    }

    /// The text of all files after these events.
    fn logged(config: &config::Log, folder: &Path, events: impl FnOnce()) -> String {
        let (subscriber, logging) = layers(config, folder).unwrap();
        tracing::subscriber::with_default(subscriber, events);
        drop(logging);
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.map(|file| fs::read_to_string(file).unwrap()).collect()
    }

    #[test]
    fn events_of_the_level_reach_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&[("log.console", "off"), ("log.level", "info,chatty=error")]);
        let text = logged(&config, &folder.path().join("new/log"), || {
            tracing::info!(answer = 42, "heard");
            tracing::debug!("too quiet");
            tracing::warn!(target: "chatty", "too chatty");
        });
        assert!(text.contains("INFO") && text.contains("heard answer=42"), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn json_is_an_object_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&[("log.console", "off"), ("log.format", "json"), ("log.rotation", "never")]);
        let text = logged(&config, folder.path(), || tracing::info!(answer = 42, "heard\nnews"));
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["message"], &line["answer"]), (&"heard\nnews".into(), &42.into()));
        assert!(folder.path().join("petald.log").is_file());
    }

    #[test]
    fn old_files_go() {
        let folder = tempfile::tempdir().unwrap();
        for day in 1..=5 {
            fs::write(folder.path().join(format!("petald.2020-01-0{day}.log")), "old").unwrap();
        }
        fs::write(folder.path().join("notes.txt"), "not ours").unwrap();
        let config = config(&[("log.console", "off"), ("log.keep", "3")]);
        logged(&config, folder.path(), || tracing::info!("new"));
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names.len(), 4, "{names:?}");
        assert!(names.contains(&"notes.txt".to_owned()));
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = layers(&config(&[]), &file.join("log")).err().unwrap().to_string();
        assert!(error.starts_with("cannot log to ") && error.contains("/file/log: "), "{error}");
    }
}
