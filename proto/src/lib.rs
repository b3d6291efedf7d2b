//! What a hivemind and Petals swarm agrees on, and how to speak it over stock rust-libp2p.
//!
//! | module | holds |
//! | --- | --- |
//! | [`msgpack`] | values as hivemind writes them, read within bounds |
//! | [`records`] | what a Petals server announces, as types that cannot hold what readers refuse |
//! | [`time`] | swarm time |
//!
//! No clock, no file and no actor lives here: time and chance are given in, effects are given back.

pub mod msgpack;
pub mod records;
pub mod time;
