//! The handshake of a substream, as listener and as dialer.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hivemind_proto::fuzzing::handshake(bytes));
