//! Manual pages and completions, made from the command line as clap knows it, so that they never tell anything else.

use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;

/// At the foot of every page.
const SOURCE: &str = concat!("petald ", env!("CARGO_PKG_VERSION"));

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ManualError {
    /// No command has that page.
    #[error("no manual page {0}; there are {names}", names = names())]
    NoPage(String),
    /// The folder, or a page in it, cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The completions of one shell.
pub(crate) fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "petald", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The page of one command, in roff.
pub(crate) fn page(name: &str) -> Result<String, ManualError> {
    let page = pages().into_iter().find(|(known, _)| known == name);
    page.map(|(_, text)| text).ok_or_else(|| ManualError::NoPage(name.into()))
}

/// Writes every page into `folder`, as `NAME.1`.
pub(crate) fn write_all(folder: &Path) -> Result<(), ManualError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ManualError::Io { path, source }
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    for (name, text) in pages() {
        let path = folder.join(format!("{name}.1"));
        std::fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}

/// Every command, each by the name of its page.
fn pages() -> Vec<(String, String)> {
    let mut root = Cli::command().disable_help_subcommand(true);
    // Gives every command below its whole name: petald-run, typed "petald run".
    root.build();
    let mut pages = Vec::new();
    collect(&root, &mut pages);
    pages
}

fn collect(command: &clap::Command, pages: &mut Vec<(String, String)>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut text = Vec::new();
    #[expect(clippy::expect_used, reason = "writing to memory does not fail")]
    Man::new(command.clone()).manual("petald").source(SOURCE).render(&mut text).expect("a page in memory");
    // What clap calls extra is what every command's help ends with.
    pages.push((name, String::from_utf8_lossy(&text).replace("\n.SH EXTRA\n", "\n.SH NOTES\n")));
    for below in command.get_subcommands() {
        collect(below, pages);
    }
}

fn names() -> String {
    pages().into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}
