//! The table: what was seen, and what it means.

use hivemind_proto::records::{BlockRange, ServerState};
use libp2p::PeerId;

use super::*;
use ServerState::{Joining, Offline, Online};

fn claim(state: ServerState) -> Claim {
    Claim { blocks: BlockRange::new(4, 8).unwrap(), states: vec![state], listed: true }
}

fn found(state: ServerState) -> Seen {
    Seen::Found { state: Some(state), seconds_to_live: 200.0, replicas: 3 }
}

fn listed() -> Option<Seen> {
    Some(Seen::Found { state: None, seconds_to_live: 200.0, replicas: 3 })
}

fn door(answer: Knock) -> Door {
    Door { peer: PeerId::random(), initial: true, answer }
}

/// All four blocks ONLINE, and an answer.
fn all_is_well() -> Evidence {
    Evidence {
        doors: vec![door(Knock::Unreachable("refused".into())), door(Knock::Open)],
        through_ourselves: false,
        clock_offset: Some(0.2),
        search: Some(Search { answers: 3, complete: true, blocks: vec![found(Online); 4], model: listed() }),
        reach: Reach::Answered(0.01),
        peers_met: 3,
    }
}

fn with(change: impl FnOnce(&mut Evidence)) -> Evidence {
    let mut evidence = all_is_well();
    change(&mut evidence);
    evidence
}

fn with_search(change: impl FnOnce(&mut Search)) -> Evidence {
    with(|evidence| change(evidence.search.as_mut().unwrap()))
}

fn blocks(blocks: [Seen; 4]) -> Evidence {
    with_search(|search| search.blocks = blocks.into())
}

fn clock(offset: f64, mut evidence: Evidence) -> Evidence {
    evidence.clock_offset = Some(offset);
    evidence
}

#[test]
fn the_first_layer_that_fails_is_told() {
    use Layer::{Bootstraps, Clock, Dht, OurAddress, OurIdentity, Record, Us};
    use Verdict::{Invisible, PartlyVisible, Unknown, Visible};
    let unreachable = || door(Knock::Unreachable("refused".into()));
    let mute = || door(Knock::Mute("deadline".into()));
    let (nowhere, on, off, join) = (Seen::Nowhere, found(Online), found(Offline), found(Joining));
    let table: Vec<(Evidence, Verdict, Option<Layer>, &str)> = vec![
        (all_is_well(), Visible, None, "blocks 4:8 ONLINE, each at 3 others or more"),
        (with(|e| e.through_ourselves = true), Visible, None, "seen through ourselves only"),
        // It could not look.
        (with(|e| e.doors = vec![]), Unknown, Some(Bootstraps), "nobody is known"),
        (
            with(|e| e.doors = vec![unreachable(), unreachable()]),
            Unknown,
            Some(Bootstraps),
            "none of 2 peers",
        ),
        (
            with(|e| e.doors = vec![unreachable(), mute()]),
            Unknown,
            Some(Dht),
            "none answers a DHT ping: deadline",
        ),
        (
            with(|e| (e.doors, e.through_ourselves) = (vec![unreachable()], true)),
            Unknown,
            Some(OurAddress),
            "nobody else is there, and we cannot be reached: refused",
        ),
        (
            with(|e| (e.doors, e.through_ourselves) = (vec![mute(), mute()], true)),
            Unknown,
            Some(Us),
            "nobody else is there, and we do not answer: deadline",
        ),
        (with_search(|s| s.answers = 0), Unknown, Some(Dht), "none answers a find"),
        (with(|e| e.reach = Reach::NotTried), Unknown, Some(Dht), "no time left"),
        // It could, and we were not there.
        (
            with(|e| e.reach = Reach::Unreachable("no address is known".into())),
            Invisible,
            Some(OurAddress),
            "cannot connect to us: no address is known",
        ),
        (with(|e| e.reach = Reach::Silent("no handler".into())), Invisible, Some(Us), "no handler"),
        (
            with(|e| e.reach = Reach::Elsewhere("/ip4/192.0.2.7/tcp/1".into())),
            Invisible,
            Some(OurIdentity),
            "under our identity, at /ip4/192.0.2.7/tcp/1",
        ),
        // We were, and our records were not.
        (
            with_search(|s| s.blocks = vec![Seen::Nowhere; 4]),
            Invisible,
            Some(Record),
            "blocks 4:8: nobody holds",
        ),
        (
            with_search(|s| s.blocks = vec![Seen::OnlyAtOurselves; 4]),
            Invisible,
            Some(Record),
            "4:8: nobody but us holds",
        ),
        (
            blocks([on.clone(), nowhere.clone(), on.clone(), nowhere.clone()]),
            PartlyVisible,
            Some(Record),
            "blocks 5:6, 7:8: nobody holds our record",
        ),
        (
            blocks([on.clone(), Seen::Unreadable("no map".into()), on.clone(), on.clone()]),
            PartlyVisible,
            Some(Record),
            "blocks 5:6: our record cannot be read: no map",
        ),
        (
            with_search(|s| (s.complete, s.blocks[0]) = (false, Seen::Nowhere)),
            Unknown,
            Some(Dht),
            "not seen until then: blocks 4:5",
        ),
        (with_search(|s| s.complete = false), Visible, None, "each at 3 others"),
        // They were, and say something else.
        (
            blocks([on.clone(), on.clone(), join.clone(), join.clone()]),
            PartlyVisible,
            Some(Record),
            "blocks 6:8: found as JOINING, while we claim ONLINE",
        ),
        (
            with_search(|s| s.blocks = vec![join.clone(); 4]),
            PartlyVisible,
            Some(Record),
            "4:8: found as JOINING",
        ),
        (with_search(|s| s.blocks = vec![off.clone(); 4]), Invisible, Some(Record), "found as OFFLINE"),
        (
            blocks([on.clone(), off.clone(), off.clone(), off]),
            PartlyVisible,
            Some(Record),
            "5:8: found as OFFLINE",
        ),
        (with_search(|s| s.model = Some(Seen::Nowhere)), PartlyVisible, Some(Record), "not in the index"),
        (
            with_search(|s| (s.model, s.complete) = (Some(Seen::Nowhere), false)),
            Unknown,
            Some(Dht),
            "not in the index",
        ),
        // The clock: now, or soon.
        (clock(90.0, all_is_well()), Visible, Some(Clock), "our clock is 90.0 s behind the swarm's"),
        (clock(-90.0, all_is_well()), Visible, Some(Clock), "our clock is 90.0 s ahead of the swarm's"),
        (clock(2.9, all_is_well()), Visible, None, "ONLINE"),
        (
            clock(400.0, with_search(|s| s.blocks = vec![Seen::Expired(90.0); 4])),
            Invisible,
            Some(Clock),
            "our record expired 90 s ago; our clock is 400.0 s behind",
        ),
        (
            clock(400.0, with_search(|s| s.blocks = vec![Seen::Nowhere; 4])),
            Invisible,
            Some(Clock),
            "nobody holds our record; our clock",
        ),
        (
            with_search(|s| s.blocks = vec![Seen::Expired(90.0); 4]),
            Invisible,
            Some(Record),
            "expired 90 s ago",
        ),
        (
            clock(400.0, with_search(|s| s.blocks = vec![Seen::Unreadable("x".into()); 4])),
            Invisible,
            Some(Record),
            "cannot be read",
        ),
    ];
    for (evidence, verdict, layer, cause) in table {
        let judgement = judge(Some(&claim(Online)), &evidence);
        assert_eq!((judgement.verdict, judgement.layer), (verdict, layer), "{judgement:?}\n{evidence:#?}");
        assert!(judgement.cause.contains(cause), "{:?} lacks {cause:?}", judgement.cause);
    }
}

#[test]
fn joining_as_claimed_is_visible_and_the_state_is_told() {
    let evidence = with_search(|search| search.blocks = vec![found(Joining); 4]);
    let judgement = judge(Some(&claim(Joining)), &evidence);
    assert_eq!((judgement.verdict, judgement.layer), (Verdict::Visible, None));
    assert!(judgement.cause.contains("JOINING"), "{judgement:?}");
    // While the state changes, either is right.
    let changing = Claim { states: vec![Joining, Online], ..claim(Joining) };
    let mixed = blocks([found(Joining), found(Online), found(Online), found(Joining)]);
    assert_eq!(judge(Some(&changing), &mixed).verdict, Verdict::Visible);
}

#[test]
fn a_private_model_need_not_be_listed() {
    let private = Claim { listed: false, ..claim(Online) };
    let evidence = with_search(|search| search.model = None);
    assert_eq!(judge(Some(&private), &evidence).verdict, Verdict::Visible);
}

#[test]
fn a_bootstrap_is_visible_if_it_is_found_and_answers() {
    let bootstrap = with(|evidence| evidence.search = None);
    assert_eq!(judge(None, &bootstrap).verdict, Verdict::Visible);
    let silent = Evidence { reach: Reach::Silent("deadline".into()), ..bootstrap };
    assert_eq!(judge(None, &silent).layer, Some(Layer::Us));
}

#[test]
fn many_ranges_are_cut_short() {
    assert_eq!(ranges([0, 1, 2, 5].into_iter()), "0:3, 5:6");
    let odd = (0..100).map(|n| 2 * n + 1);
    assert!(ranges(odd).ends_with("15:16, …"));
}
