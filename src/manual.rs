//! Manual pages and completions, made from the command line as clap knows it, so that they never tell anything else.

use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;

/// The config's manual, which a test holds equal to the built-in defaults.
const REFERENCE: &str = include_str!("../config/reference.toml");

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

/// A page in roff.
struct Page {
    name: String,
    section: u8,
    text: String,
}

/// The page of one command, or of the config file, in roff.
pub(crate) fn page(name: &str) -> Result<String, ManualError> {
    let page = pages().into_iter().find(|page| page.name == name);
    page.map(|page| page.text).ok_or_else(|| ManualError::NoPage(name.into()))
}

/// Writes every page into `folder`, as `NAME.SECTION`.
pub(crate) fn write_all(folder: &Path) -> Result<(), ManualError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ManualError::Io { path, source }
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    for Page { name, section, text } in pages() {
        let path = folder.join(format!("{name}.{section}"));
        std::fs::write(&path, text).map_err(failed(&path))?;
    }
    Ok(())
}

/// Every command, and the config file.
fn pages() -> Vec<Page> {
    let mut root = Cli::command().disable_help_subcommand(true);
    // Gives every command below its whole name: petald-run, typed "petald run".
    root.build();
    let mut pages = vec![config_page()];
    collect(&root, &mut pages);
    pages
}

/// petald.toml(5): the reference file itself, which has every key with its unit, its default and what it means.
fn config_page() -> Page {
    let mut text = String::from(
        ".TH petald.toml 5 \"\" petald petald\n.SH NAME\npetald.toml \\- the config of petald(1)\n.SH DESCRIPTION\n\
         Every key, with its default. Unknown keys are errors.\n.PP\n.nf\n",
    );
    for line in REFERENCE.lines() {
        // A line that begins with a dot or a quote would be taken for a request.
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        text += &format!("{guard}{}\n", line.replace('\\', "\\e").replace('-', "\\-"));
    }
    text += ".fi\n.SH SEE ALSO\npetald(1), petald-check(1)\n";
    Page { name: "petald.toml".into(), section: 5, text }
}

fn collect(command: &clap::Command, pages: &mut Vec<Page>) {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut text = Vec::new();
    // No version at its foot: the packaged pages lie in the repository, and are compared with what is printed here.
    #[expect(clippy::expect_used, reason = "writing to memory does not fail")]
    Man::new(command.clone()).manual("petald").source("petald").render(&mut text).expect("a page in memory");
    // What clap calls extra is what every command's help ends with.
    let text = String::from_utf8_lossy(&text).replace("\n.SH EXTRA\n", "\n.SH NOTES\n");
    pages.push(Page { name, section: 1, text });
    for below in command.get_subcommands() {
        collect(below, pages);
    }
}

fn names() -> String {
    pages().into_iter().map(|page| page.name).collect::<Vec<_>>().join(", ")
}
