//! The protobuf messages of the swarm, compiled from `schema/`.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated code; the schema says what the fields mean"
)]

/// What two p2pd put on a stream between them: `schema/p2pd.proto`.
pub mod p2pd {
    include!(concat!(env!("OUT_DIR"), "/p2pd.rs"));
}

/// The DHT and what a reader of `rpc_info` needs: `schema/{auth,dht,runtime}.proto`.
pub mod hivemind {
    include!(concat!(env!("OUT_DIR"), "/hivemind.rs"));
}
