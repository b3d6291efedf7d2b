//! A config file, and a `--set` beside it.
#![no_main]

#[allow(dead_code, reason = "only what reads is run")]
#[path = "../../src/config/mod.rs"]
mod config;

use std::{cell::RefCell, io::Write};

thread_local! {
    /// Rewritten for each run.
    static FILE: RefCell<tempfile::NamedTempFile> = RefCell::new(tempfile::NamedTempFile::new().expect("a file"));
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // What follows a zero byte is set on the command line.
    let (text, set) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    let set = String::from_utf8_lossy(set.strip_prefix(&[0]).unwrap_or(set));
    let arguments: Vec<_> =
        set.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
    FILE.with_borrow_mut(|file| {
        file.as_file().set_len(0).expect("it is ours");
        std::io::Seek::rewind(file).expect("it is ours");
        file.write_all(text).expect("there is room");
        if let Err(error) = config::Config::load(Some(file.path()), &arguments) {
            assert!(!error.to_string().is_empty());
        }
    });
});
