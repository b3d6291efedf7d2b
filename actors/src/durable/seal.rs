//! A first line that says what a file is and what its content sums up to, so that a file that is not ours, not whole
//! or not unchanged is known as such.
//!
//! ```text
//! petald server_info 1 2fd4e1c67a2d28fced849ee1bb76e7391b93eb12
//! …
//! ```

use sha1::{Digest, Sha1};

/// Begins every sealed file.
const MAGIC: &str = "petald";

/// Why a file's content cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a file of this kind.
    #[error("it is not a {0} file of ours")]
    Foreign(&'static str),
    /// Written by another version of the program.
    #[error("its format is {found:?}, and only {known} is known here")]
    Format {
        /// What the file says.
        found: String,
        /// What this program writes.
        known: u32,
    },
    /// It ends too soon, or was changed.
    #[error("its content does not match its checksum")]
    Damaged,
}

/// `content` behind a line with its kind, the version of its format and its checksum.
pub fn seal(kind: &'static str, format: u32, content: &[u8]) -> Vec<u8> {
    let mut sealed = format!("{MAGIC} {kind} {format} {}\n", checksum(content)).into_bytes();
    sealed.extend_from_slice(content);
    sealed
}

/// The content of a sealed file.
pub fn unseal<'a>(kind: &'static str, format: u32, sealed: &'a [u8]) -> Result<&'a [u8], SealError> {
    let foreign = SealError::Foreign(kind);
    let Some(end) = sealed.iter().position(|byte| *byte == b'\n') else { return Err(foreign) };
    let (line, content) = (&sealed[..end], &sealed[end + 1..]);
    let line = std::str::from_utf8(line).map_err(|_| foreign.clone())?;
    let [MAGIC, found_kind, found_format, sum] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err(foreign);
    };
    if found_kind != kind {
        return Err(foreign);
    }
    if found_format != format.to_string() {
        return Err(SealError::Format { found: found_format.into(), known: format });
    }
    if sum != checksum(content) {
        return Err(SealError::Damaged);
    }
    Ok(content)
}

fn checksum(content: &[u8]) -> String {
    Sha1::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}
