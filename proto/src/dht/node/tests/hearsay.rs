//! What a node takes from whom, about whom.

use proptest::prelude::*;

use super::*;
use crate::{
    allowance::Rate,
    dht::{dictionary, storage},
};

/// One node, and calls to it.
pub(super) struct Lone {
    pub(super) node: Node,
    pub(super) own: PeerId,
    pub(super) now: DhtTime,
}

impl Lone {
    pub(super) fn new(signatures: bool) -> Self {
        let (own, now) = (PeerId::random(), DhtTime::from_unix(START).unwrap());
        let settings = Settings {
            id: DhtId::of_text("lone"),
            client_mode: false,
            storage: storage::Limits::default(),
            cache: storage::Limits::default(),
            acceptance: Acceptance { signatures, ..Acceptance::default() },
            caching: Caching::default(),
            seed: 1,
        };
        Self { node: Node::new(settings, own, now), own, now }
    }

    fn ask(&mut self, caller: PeerId, request: Request) -> Response {
        self.node.request(InboundId(0), caller, request, self.now);
        let answer = std::iter::from_fn(|| self.node.next_effect()).find_map(|effect| match effect {
            Effect::Answer { response, .. } => Some(response),
            _ => None,
        });
        answer.unwrap()
    }

    pub(super) fn store(&mut self, caller: PeerId, rows: Vec<Row>) -> Vec<bool> {
        match self.ask(caller, Request::Store { sender: None, rows }) {
            Response::Store { stored, .. } => stored,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn find(&mut self, key: &str) -> Option<FoundValue> {
        let request = Request::Find { sender: None, keys: vec![DhtId::of_text(key)] };
        match self.ask(PeerId::random(), request) {
            Response::Find { mut results, .. } => results.remove(0).value,
            other => panic!("{other:?}"),
        }
    }

    /// The value of an entry of the dictionary under "model.0".
    fn entry(&mut self, peer: PeerId) -> Option<Vec<u8>> {
        let Some(FoundValue::Dictionary(bytes, _)) = self.find("model.0") else { return None };
        let items = dictionary::decode(&bytes, usize::MAX).unwrap();
        let subkey = Subkey::text(&peer.to_base58());
        items.iter().find(|item| item.subkey == subkey).map(|item| item.value.to_vec())
    }

    fn says(&mut self, caller: PeerId, about: PeerId, value: &[u8], expires_in: f64) -> bool {
        self.store(caller, vec![about_peer(about, value, expires_in)])[0]
    }
}

fn row(tag: Tag, value: &[u8], expires_in: f64) -> Row {
    Row {
        key: DhtId::of_text("model.0").as_bytes().to_vec(),
        tag: tag.encode(),
        value: value.into(),
        expiration: START + expires_in,
        in_cache: false,
    }
}

fn about_peer(peer: PeerId, value: &[u8], expires_in: f64) -> Row {
    row(Tag::Subkey(Subkey::text(&peer.to_base58())), value, expires_in)
}

const ONLINE: &[u8] = b"\xa6online";
const OFFLINE: &[u8] = b"\xa7offline";

#[test]
fn a_peers_own_word_is_not_contradicted_while_it_lives() {
    let mut lone = Lone::new(false);
    let (server, liar) = (PeerId::random(), PeerId::random());
    assert!(lone.says(server, server, ONLINE, 60.0));
    assert!(!lone.says(liar, server, OFFLINE, 3600.0));
    // Neither within a whole dictionary, nor by way of the cache, which would be found first.
    let subkey = Subkey::text(&server.to_base58());
    let whole = dictionary::encode(START + 3600.0, [(&subkey, OFFLINE, START + 3600.0)].into_iter());
    let mut cached = about_peer(server, OFFLINE, 3600.0);
    cached.in_cache = true;
    let mut plain = row(Tag::Plain, OFFLINE, 3600.0);
    assert_eq!(
        lone.store(liar, vec![row(Tag::Dictionary, &whole, 3600.0), cached, plain.clone()]),
        [false; 3]
    );
    plain.in_cache = true;
    assert_eq!(lone.store(liar, vec![plain]), [false]);
    assert_eq!(lone.entry(server).as_deref(), Some(ONLINE));
    assert_eq!(lone.node.counters().rows_refused.contradiction, 5);
    // The same word for longer is a renewal; after it has expired, anybody may speak.
    assert!(lone.says(liar, server, ONLINE, 90.0));
    lone.now = lone.now + Duration::from_secs(61);
    assert!(lone.says(liar, server, OFFLINE, 3600.0));
}

#[test]
fn a_peers_own_word_replaces_what_others_said() {
    let mut lone = Lone::new(false);
    let (server, liar) = (PeerId::random(), PeerId::random());
    assert!(lone.says(liar, server, OFFLINE, 86_000.0));
    assert_eq!(lone.entry(server).as_deref(), Some(OFFLINE), "as the original does");
    let mut cached = about_peer(server, OFFLINE, 86_000.0);
    cached.in_cache = true;
    assert_eq!(lone.store(liar, vec![cached]), [true]);
    assert!(lone.says(server, server, ONLINE, 60.0));
    assert_eq!(lone.entry(server).as_deref(), Some(ONLINE));
    // A renewal by another does not silence it either.
    assert!(lone.says(liar, server, ONLINE, 86_000.0));
    assert!(lone.says(server, server, OFFLINE, 90.0));
    assert_eq!(lone.entry(server).as_deref(), Some(OFFLINE));
    // Against its own word, the usual order holds.
    assert!(!lone.says(server, server, ONLINE, 90.0) && !lone.says(server, server, ONLINE, 80.0));
    assert_eq!(lone.node.counters().rows_refused.stale, 2);
}

#[test]
fn our_own_announcements_are_our_word() {
    let mut lone = Lone::new(false);
    let (own, liar) = (lone.own, PeerId::random());
    let subkey = Subkey::text(&own.to_base58());
    let record = Record {
        key: DhtId::of_text("model.0"),
        tag: Tag::Subkey(subkey),
        value: ONLINE.into(),
        expiration: DhtTime::from_unix(START + 60.0).unwrap(),
    };
    lone.node.store(vec![record], lone.now);
    assert!(!lone.says(liar, own, OFFLINE, 3600.0));
    assert_eq!(lone.entry(own).as_deref(), Some(ONLINE));
}

#[test]
fn other_subkeys_follow_the_original() {
    let mut lone = Lone::new(false);
    let (first, second) = (PeerId::random(), PeerId::random());
    // No peer ids: other text, and a peer id as bin.
    let bin = Subkey::decode(&[&b"\xc4\x02"[..], b"Qm"].concat()).unwrap();
    for subkey in [Subkey::text("some-model-hf"), Subkey::text("Qmnonsense"), bin] {
        let tag = Tag::Subkey(subkey);
        assert_eq!(lone.store(first, vec![row(tag.clone(), ONLINE, 60.0)]), [true]);
        assert_eq!(lone.store(second, vec![row(tag, OFFLINE, 61.0)]), [true]);
    }
}

#[test]
fn a_newcomer_may_be_handed_everything_and_then_a_trickle() {
    let mut lone = Lone::new(false);
    lone.node.hearsay = Some(Hearsay::rationed(Rate { burst: 500.0, per_second: 2.0 }, lone.now));
    let (neighbour, other) = (PeerId::random(), PeerId::random());
    let peers: Vec<PeerId> = (0..200).map(|_| PeerId::random()).collect();
    let rows = |expires_in| peers.iter().map(|peer| about_peer(*peer, ONLINE, expires_in)).collect();
    let taken = |lone: &mut Lone, expires_in| {
        lone.store(neighbour, rows(expires_in)).iter().filter(|stored| **stored).count()
    };
    assert_eq!(taken(&mut lone, 60.0), 200);
    // Said again it is stale, and costs nothing.
    assert_eq!([60.0; 5].map(|expires_in| taken(&mut lone, expires_in)), [0; 5]);
    assert_eq!([61.0, 62.0, 63.0].map(|expires_in| taken(&mut lone, expires_in)), [200, 100, 0]);
    assert_eq!(lone.node.counters().rows_refused.hearsay, 300);
    lone.now = lone.now + Duration::from_secs(30);
    assert_eq!(taken(&mut lone, 64.0), 60);
    // Others, and its own records, are not affected.
    assert!(lone.says(other, peers[0], ONLINE, 90.0));
    assert!(lone.says(neighbour, neighbour, ONLINE, 60.0));
}

#[derive(Debug, Clone)]
struct Said {
    caller: usize,
    about: usize,
    value: u8,
    expires_in: f64,
    in_cache: bool,
    pause: u64,
}

fn said() -> impl Strategy<Value = Said> {
    let fields = (0..4usize, 0..3usize, 0..3u8, 1.0..200.0f64, any::<bool>(), 0..20u64);
    fields.prop_map(|(caller, about, value, expires_in, in_cache, pause)| Said {
        caller,
        about,
        value,
        expires_in,
        in_cache,
        pause,
    })
}

proptest! {
    /// Whatever anybody says in whatever order: while a peer's own last word lives, it is what is found.
    #[test]
    fn the_own_word_is_found_while_it_lives(all in prop::collection::vec(said(), 1..60)) {
        let mut lone = Lone::new(false);
        let peers: Vec<PeerId> = (0..4).map(|_| PeerId::random()).collect();
        let mut words: HashMap<usize, (u8, DhtTime)> = HashMap::new();
        for said in all {
            lone.now = lone.now + Duration::from_secs(said.pause);
            let expiration = lone.now.as_unix() - START + said.expires_in;
            let own = said.caller == said.about;
            let mut row = about_peer(peers[said.about], &[said.value], expiration);
            row.in_cache = said.in_cache && !own;
            let stored = lone.store(peers[said.caller], vec![row])[0];
            let expiration = DhtTime::from_unix(START + expiration).unwrap();
            if own {
                let fresher = words.get(&said.about).is_none_or(|(_, last)| *last < expiration);
                prop_assert!(stored || !fresher, "its own word is taken");
                if stored {
                    words.insert(said.about, (said.value, expiration));
                }
            }
            for (peer, (value, until)) in &words {
                if *until > lone.now {
                    prop_assert_eq!(lone.entry(peers[*peer]), Some(vec![*value]));
                }
            }
        }
    }
}
