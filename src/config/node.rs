//! `[node]`: who we are on this machine and on the map.

use std::path::PathBuf;

use super::section::Section;
use super::values::{path, text};

/// `[node]`
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where everything that outlives the process is kept.
    pub(crate) data_dir: PathBuf,
    /// The name that the map shows, if any.
    pub(crate) public_name: Option<String>,
}

impl Node {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let data_dir = section.take("data_dir", path);
        let public_name = section.optional("public_name", text);
        Some(Self { data_dir: data_dir?, public_name: public_name? })
    }
}
