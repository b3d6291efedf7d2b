//! What a hivemind and Petals swarm agrees on, and how to speak it over stock rust-libp2p.
//!
//! | module | holds |
//! | --- | --- |
//! | [`allowance`] | how often something may happen |
//! | [`bare_name`] | handler names without a slash, under stock multistream-select |
//! | [`connection`] | from bytes to a peer with streams, and calls served on them |
//! | [`dht`] | hivemind's DHT as data: no input, no output, no clock |
//! | [`messages`] | the protobuf messages |
//! | [`msgpack`] | values as hivemind writes them, read within bounds |
//! | [`records`] | what a Petals server announces, as types that cannot hold what readers refuse |
//! | [`stream_frame`] | the frames of streaming calls |
//! | [`time`] | swarm time |
//! | [`unary`] | calls of one message each way |
//!
//! No clock, no file and no actor lives here: time and chance are given in, effects are given back.

pub mod allowance;
pub mod bare_name;
pub mod connection;
pub mod dht;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod messages;
pub mod msgpack;
pub mod records;
pub mod stream_frame;
pub mod time;
pub mod unary;
