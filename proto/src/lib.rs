//! What a hivemind and Petals swarm agrees on: messages, ids, records, the DHT as data, and the glue
//! that speaks them over libp2p. Nothing here knows an actor, a clock or a file.

pub mod bare_name;
pub mod messages;
pub mod stream_frame;
pub mod unary;
