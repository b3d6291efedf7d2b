//! Initial peers that do not know each other.

use super::*;

#[actix_rt::test]
async fn a_split_is_told_and_its_end_too() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let here = swarm_of(&swarm, &clock, 4).await;
    let there: Vec<Member> = (50..54).map(|seed| member(&swarm, &clock, seed)).collect();
    for member in &there[1..] {
        crate::dht::tests::join(member, &there[0]).await;
    }
    let newcomer = member(&swarm, &clock, 99);
    let bootstrap = start(&newcomer, &[here[0].peer, there[0].peer, here[1].peer]);
    // Not at once: one that was restarted a moment ago knows nobody either.
    sleep(Duration::from_secs(125)).await;
    let early = status(&bootstrap).await;
    assert_eq!((&early["split"]["groups"], &early["split"]["comparisons_apart"]), (&().into(), &2.into()));
    sleep(Duration::from_secs(65)).await;
    let groups = &status(&bootstrap).await["split"]["groups"];
    let name = |member: &Member| member.peer.to_base58();
    assert_eq!(*groups, serde_json::json!([[name(&here[0]), name(&here[1])], [name(&there[0])]]));
    // They meet; it takes two comparisons to believe it.
    crate::dht::tests::join(&there[0], &here[0]).await;
    sleep(Duration::from_secs(61)).await;
    assert!(!status(&bootstrap).await["split"]["groups"].is_null());
    sleep(Duration::from_secs(60)).await;
    assert!(status(&bootstrap).await["split"]["groups"].is_null());
}

#[actix_rt::test]
async fn in_one_swarm_no_split_is_ever_told_whoever_restarts() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 12).await;
    let newcomer = member(&swarm, &clock, 99);
    let initial = [members[0].peer, members[1].peer, members[2].peer];
    let bootstrap = start(&newcomer, &initial);
    for round in 0..30 {
        sleep(Duration::from_secs(100)).await;
        let status = status(&bootstrap).await;
        assert!(status["split"]["groups"].is_null(), "{status}");
        if round % 5 == 0 {
            // An initial peer starts anew, and joins through another a minute and a half later.
            let index = round / 5 % 3;
            members[index] = crate::dht::tests::member_as(initial[index], &swarm, &clock, 200 + round as u64);
            sleep(Duration::from_secs(90)).await;
            crate::dht::tests::join(&members[index], &members[8]).await;
        }
    }
}
