//! Members that close their connections.

use tokio::time::sleep;

use super::*;
use crate::network::NetworkEvent;

async fn known(member: &Member) -> u64 {
    member.dht.send(Probe).await.unwrap().0["known_nodes"].as_u64().unwrap()
}

#[actix_rt::test]
async fn who_has_gone_leaves_the_table_within_seconds_and_who_is_there_stays() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 8).await;
    assert_eq!(known(&members[0]).await, 7);
    let (gone, idle) = (&members[3], &members[5]);
    swarm.cut(gone.peer);
    for closed in [gone, idle] {
        members[0].network.publish(NetworkEvent::Disconnected(closed.peer));
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(known(&members[0]).await, 6);
    let left = members[0].dht.send(messages::Members { most: 20 }).await.unwrap();
    assert!(left.iter().any(|contact| contact.peer == idle.peer));
}

#[actix_rt::test]
async fn strangers_that_close_are_not_asked() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 2).await;
    let stranger = member(&swarm, &clock, 99);
    members[0].network.publish(NetworkEvent::Disconnected(stranger.peer));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(stranger.dht.send(Probe).await.unwrap().0["pings_served"], 0);
}
