//! SIGTERM on a node that serves 126 blocks while others call it: OFFLINE is at its replicas, and the process gone, in
//! under 3 s.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use hivemind_proto::{dht::REPLICAS, messages::hivemind::ExpertUid, records::RPC_INFO_HANDLER};
use prost::Message;

use crate::support::{
    alone,
    deadline::eventually,
    in_process::{Node, name},
    petald::{Config, Home},
    reader::Reader,
    report,
    swarm::Swarm,
};

const BLOCKS: u32 = 126;
const LIMIT: Duration = Duration::from_secs(3);
const VISIBLE_LIMIT: Duration = Duration::from_secs(40);
/// Callers at once, each with one call after another.
const CALLERS: usize = 16;
const CALL_LIMIT: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_126_blocks_is_drained_under_load_in_time() {
    let _machine = alone().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c", "d", "e", "f"], &[]).await;
    let reader = Reader::client(&nodes[3].addresses).await;
    let config = Config {
        initial_peers: nodes[0].addresses.clone(),
        num_blocks: BLOCKS,
        blocks: format!("0:{BLOCKS}"),
        ..Config::default()
    };
    let petald = Home::new(&config);
    let petald = petald.run().await;
    let seen = async || {
        let servers = reader.servers(&config.dht_prefix, BLOCKS).await;
        servers.states(&petald.peer_id, 0..BLOCKS as usize)
    };
    eventually(VISIBLE_LIMIT, "all blocks are ONLINE for a stranger", async || {
        match seen().await.as_slice() {
            [only] if only == "ONLINE" => Ok(()),
            states => Err(format!("{states:?}")),
        }
    })
    .await;

    let caller = Node::start().await;
    let peer = petald.libp2p_id();
    caller.handle.connect(peer, petald.dialable(), CALL_LIMIT).await.unwrap();
    let (ended, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (handle, ended, answered) = (caller.handle.clone(), ended.clone(), answered.clone());
            tokio::spawn(async move {
                let handler = name(RPC_INFO_HANDLER);
                let request = ExpertUid { uid: String::new() }.encode_to_vec();
                while !ended.load(Ordering::Relaxed) {
                    let call = handle.call(peer, &handler, request.clone(), CALL_LIMIT);
                    match call.await {
                        Ok(_) => _ = answered.fetch_add(1, Ordering::Relaxed),
                        // It is gone, and dialled in vain: not as fast as can be.
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                }
            })
        })
        .collect();
    eventually(CALL_LIMIT, "calls are answered", async || match answered.load(Ordering::Relaxed) {
        few if few < 100 => Err(few.to_string()),
        _ => Ok(()),
    })
    .await;

    let before = answered.load(Ordering::Relaxed);
    let stored_before = swarm.store_calls_from(&petald.peer_id).await.len();
    #[expect(clippy::disallowed_methods, reason = "the wall clock of a real process")]
    let began = Instant::now();
    petald.terminate();
    let peer_id = petald.peer_id.clone();
    let status = petald.exit().await;
    let took = began.elapsed();
    ended.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.unwrap();
    }
    let meanwhile = answered.load(Ordering::Relaxed) - before;
    assert_eq!(status.code(), Some(0), "{status}");

    // The process is gone: what is read now is what its replicas hold.
    let servers = reader.servers(&config.dht_prefix, BLOCKS).await;
    assert_eq!(servers.states(&peer_id, 0..BLOCKS as usize), ["OFFLINE"], "at the replicas");
    let farewell = swarm.store_calls_from(&peer_id).await.split_off(stored_before);
    let told: BTreeSet<_> = farewell.iter().map(|call| &call.callee).collect();
    let rows: usize = farewell.iter().map(|call| call.rows).sum();
    assert!(told.len() >= REPLICAS, "{told:?}");
    report(&format!(
        "drain of {BLOCKS} blocks, {CALLERS} callers at once ({meanwhile} calls answered meanwhile): {took:.2?} from SIGTERM \
         to exit; OFFLINE in {rows} rows at {} of {} hivemind peers",
        told.len(),
        nodes.len()
    ));
    assert!(took < LIMIT, "it took {took:?}");
}
