//! What petald takes for its first peers, and keeps: each path once, before it is measured what a load takes.

use std::net::Ipv4Addr;

use futures::future::try_join_all;
use hivemind_proto::{
    dht::{DhtId, PING_HANDLER, Request, Row},
    records::RPC_INFO_HANDLER,
};
use libp2p::identity::Keypair;

use super::{
    loads::id,
    target::Target,
    wire::{Failure, Wire, call},
};

/// Visitors at once. One after the other they would all find the same buffers.
const VISITORS: usize = 32;

/// How long what they store lives, in seconds: it is gone before a load ends.
const LIFE: f64 = 5.0;

/// Everything that honest peers do, and the refusals that a mistake brings.
pub(crate) async fn touch(target: &Target) {
    try_join_all((0..VISITORS).map(|_| visit(target))).await.expect("honest visitors are served");
}

async fn visit(target: &Target) -> Result<(), Failure> {
    let wire = Wire::connect(&Keypair::generate_ed25519(), Ipv4Addr::LOCALHOST, target.port).await?;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec as f64;
    let (sender, key) = (DhtId::of_bytes(&id()), DhtId::of_bytes(&id()));
    let row = Row {
        key: key.as_bytes().to_vec(),
        tag: vec![0xc0],
        value: [&[0xc5, 0x04, 0x00][..], &[7; 1024]].concat().into(),
        expiration: now + LIFE,
        in_cache: false,
    };
    for request in [
        Request::Ping { sender: Some(sender), validate: false },
        Request::Store { sender: Some(sender), rows: vec![row] },
        Request::Find { sender: Some(sender), keys: vec![key] },
    ] {
        wire.call(request.handler(), &target.peer, id(), request.encode()).await?.1?;
    }
    wire.call(RPC_INFO_HANDLER, &target.peer, id(), Vec::new()).await?.1?;
    let (_, refusal) = wire.call(PING_HANDLER, &target.peer, id(), vec![0xff; 1 << 20]).await?;
    assert!(refusal.is_err(), "noise is no ping");
    // Two that say less than is needed to know what they are for.
    let _silent = wire.stream().await?;
    let _half = wire.say(PING_HANDLER, &call(PING_HANDLER, &target.peer, id(), vec![7; 1000])[..500]).await?;
    Ok(())
}
