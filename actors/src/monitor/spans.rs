//! From records under blocks to servers with spans, as petals computes them.
//!
//! A record that cannot be used is noted and left out. The original's monitor stops for everyone at a span of no blocks.
//!
//! Protocol facts: `petals/utils/dht.py` (`_get_remote_module_infos`, `compute_spans` with `min_state` OFFLINE).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use hivemind_proto::{
    dht::{DhtId, Subkey},
    records::{DhtPrefix, RecordError, ServerState},
    time::DhtTime,
};
use libp2p::PeerId;

use super::{
    harvest::{Found, Harvest},
    record::{MOST_RECORD_BYTES, MOST_TEXT_BYTES, ServerRecord},
    state::{BadRecord, Reach, Server},
};

/// Servers of one model. Who comes later in the order of peer ids is left out, which is noted.
const MOST_SERVERS: usize = 10_000;

/// Bad records of one model that are told of; more are counted.
const MOST_BAD_RECORDS: usize = 256;

/// Round trips to one server that are told.
const MOST_PINGS: usize = 512;

/// The servers of a model and what else stands in its records.
#[derive(Debug, Default)]
pub(super) struct Spans {
    /// In the order of their peer ids as text, which is Python's.
    pub(super) servers: Vec<(PeerId, Server)>,
    pub(super) bad_records: Vec<BadRecord>,
    pub(super) notes: Vec<String>,
}

/// A span that grows while blocks are gone through.
struct Growing {
    peer: PeerId,
    start: u64,
    end: u64,
    record: Arc<ServerRecord>,
    expiration: DhtTime,
    /// Blocks whose record says something else.
    others: usize,
    /// The first block under which it stands.
    found: u32,
}

/// Bad records by who announced them and what is wrong: the blocks.
type Bad = BTreeMap<(String, String), Vec<u32>>;

/// Records that were read, by where their bytes lie: a server's blocks share them.
type Read = HashMap<(Subkey, *const u8), Result<Arc<ServerRecord>, String>>;

/// What the records of a model say.
pub(super) fn of(harvest: &Harvest, prefix: &DhtPrefix, num_blocks: u32, now: DhtTime) -> Spans {
    let (mut spans, mut bad) = (BTreeMap::<String, Growing>::new(), Bad::new());
    let (mut read, mut left_out) = (Read::new(), 0);
    for block in 0..num_blocks {
        let key = DhtId::of_text(&prefix.block(block).to_string());
        for (subkey, found) in harvest.under(&key) {
            let (name, peer) = match peer_of(subkey) {
                Ok(named) => named,
                Err(name) => {
                    bad.entry((name, "it is not announced under a peer id".into())).or_default().push(block);
                    continue;
                }
            };
            let place = (subkey.clone(), found.value.as_ptr());
            match read.entry(place).or_insert_with(|| record_of(found)) {
                Ok(_) if spans.len() >= MOST_SERVERS && !spans.contains_key(&name) => left_out += 1,
                Ok(record) => grow(&mut spans, name, peer, record, found.expiration, block, num_blocks),
                Err(note) => bad.entry((name, note.clone())).or_default().push(block),
            }
        }
    }
    let mut result = Spans::default();
    for (name, span) in spans {
        match finish(&name, &span, now) {
            Ok(server) => result.servers.push((span.peer, server)),
            Err(note) => {
                bad.entry((name, note)).or_default().push(span.found);
            }
        }
    }
    if left_out > 0 {
        result.notes.push(format!("records of more than {MOST_SERVERS} servers: {left_out} are left out"));
    }
    if bad.len() > MOST_BAD_RECORDS {
        result.notes.push(format!("{} more records cannot be used", bad.len() - MOST_BAD_RECORDS));
    }
    let told = |((subkey, note), blocks): ((String, String), Vec<u32>)| BadRecord {
        subkey,
        blocks: ranges(&blocks),
        note,
    };
    result.bad_records = bad.into_iter().take(MOST_BAD_RECORDS).map(told).collect();
    pings(&mut result.servers);
    result
}

/// The peer id as it stands there, and as what it is; or the text of what is none.
fn peer_of(subkey: &Subkey) -> Result<(String, PeerId), String> {
    let Some(text) = subkey.as_text() else { return Err(cut(format!("{subkey:?}"))) };
    match text.parse() {
        Ok(peer) => Ok((text, peer)),
        Err(_) => Err(cut(text)),
    }
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MOST_TEXT_BYTES));
    text
}

fn record_of(found: &Found) -> Result<Arc<ServerRecord>, String> {
    if found.value.len() > MOST_RECORD_BYTES {
        return Err(format!("it is larger than {MOST_RECORD_BYTES} bytes"));
    }
    ServerRecord::decode(&found.value).map(Arc::new).map_err(|error| match error {
        RecordError::Field(_) | RecordError::Encoding(_) => error.to_string(),
        other => format!("it cannot be used: {other}"),
    })
}

/// One block of `compute_spans`: a higher state begins anew, the same state grows, a lower one is passed over.
fn grow(
    spans: &mut BTreeMap<String, Growing>,
    name: String,
    peer: PeerId,
    record: &Arc<ServerRecord>,
    expiration: DhtTime,
    block: u32,
    num_blocks: u32,
) {
    let (found, block) = (block, u64::from(block));
    let begun = |others| {
        let (start, end) = match (record.start_block, record.end_block) {
            (Some(start), Some(end)) => (start, end.min(u64::from(num_blocks))),
            _ => (block, block + 1),
        };
        Growing { peer, start, end, record: Arc::clone(record), expiration, others, found }
    };
    match spans.get_mut(&name) {
        None => drop(spans.insert(name, begun(0))),
        Some(span) if span.record.state < record.state => *span = begun(span.others + 1),
        Some(span) if span.record.state == record.state => {
            span.end = span.end.max(block + 1);
            span.expiration = span.expiration.min(expiration);
            span.others += usize::from(!Arc::ptr_eq(&span.record, record) && span.record != *record);
        }
        Some(span) => span.others += 1,
    }
}

fn finish(name: &str, span: &Growing, now: DhtTime) -> Result<Server, String> {
    let empty = || format!("the span {}:{} holds no block of the model", span.start, span.end);
    let (start, end) = (u32::try_from(span.start), u32::try_from(span.end));
    let (Ok(start), Ok(end)) = (start, end) else { return Err(empty()) };
    if start >= end {
        return Err(empty());
    }
    let mut notes = Vec::new();
    if span.others > 0 {
        notes.push(format!("{} of its blocks have a record that says something else", span.others));
    }
    if span.record.state != ServerState::Offline && span.record.start_block.is_none() {
        notes.push("its record does not say which blocks it serves".to_owned());
    }
    Ok(Server {
        peer_id: name.to_owned(),
        start,
        end,
        info: ServerRecord::clone(&span.record),
        reach: Reach::NotAsked,
        addresses: Vec::new(),
        seconds_to_live: span.expiration.seconds_since(now),
        pings_to_me: BTreeMap::new(),
        notes,
    })
}

/// Tells each server what others say of the way to it.
fn pings(servers: &mut [(PeerId, Server)]) {
    let places: HashMap<String, usize> =
        servers.iter().enumerate().map(|(place, (_, server))| (server.peer_id.clone(), place)).collect();
    let mut told: Vec<BTreeMap<String, Option<f64>>> = vec![BTreeMap::new(); servers.len()];
    for (_, origin) in servers.iter() {
        for (peer, seconds) in origin.info.next_pings.iter().flatten() {
            if let Some(told) = places.get(peer).map(|place| &mut told[*place])
                && told.len() < MOST_PINGS
            {
                told.insert(origin.peer_id.clone(), *seconds);
            }
        }
    }
    servers.iter_mut().zip(told).for_each(|((_, server), told)| server.pings_to_me = told);
}

/// Blocks in order, in as few words as say the same: `0:8,9:10`.
fn ranges(blocks: &[u32]) -> String {
    let spans = blocks.chunk_by(|a, b| a + 1 == *b);
    let span = |span: &[u32]| match span {
        [first, .., last] => format!("{first}:{}", last + 1),
        [only] => format!("{only}:{}", only + 1),
        [] => String::new(),
    };
    spans.map(span).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use hivemind_proto::{
        dht::{FoundValue, dictionary},
        msgpack::{self, Value},
    };

    use super::*;

    const NOW: f64 = 1000.0;

    fn now() -> DhtTime {
        DhtTime::from_unix(NOW).unwrap()
    }

    fn record(state: u8, span: Option<(u64, u64)>, pings: &[(&str, f64)]) -> Vec<u8> {
        let mut details: Vec<(Value, Value)> = span
            .map(|(start, end)| [("start_block".into(), start.into()), ("end_block".into(), end.into())])
            .into_iter()
            .flatten()
            .collect();
        let pings = pings.iter().map(|(peer, seconds)| ((*peer).into(), Value::F64(*seconds))).collect();
        details.push(("next_pings".into(), Value::Map(pings)));
        msgpack::encode(&msgpack::tuple(vec![state.into(), Value::F64(1.0), Value::Map(details)]))
    }

    /// A model of 12 blocks in which these stand: block, who, what.
    fn spans(records: &[(u32, &str, Vec<u8>)]) -> Spans {
        let (mut harvest, prefix) = (Harvest::default(), "m".parse::<DhtPrefix>().unwrap());
        for (block, who, value) in records {
            let (subkey, expiration) = (Subkey::text(who), NOW + 100.0 - f64::from(*block));
            let bytes = dictionary::encode(expiration, [(&subkey, &value[..], expiration)].into_iter());
            let key = DhtId::of_text(&prefix.block(*block).to_string());
            harvest.take(key, &FoundValue::Dictionary(bytes, expiration), now());
        }
        of(&harvest, &prefix, 12, now())
    }

    fn found(spans: &Spans) -> Vec<(u32, u32, ServerState)> {
        spans.servers.iter().map(|(_, server)| (server.start, server.end, server.info.state)).collect()
    }

    #[test]
    fn spans_are_petals_own() {
        let who = PeerId::random().to_base58();
        let blocks = |range: std::ops::Range<u32>, record: Vec<u8>| {
            range.map(|block| (block, who.as_str(), record.clone())).collect::<Vec<_>>()
        };
        let (on, off) = (ServerState::Online, ServerState::Offline);
        assert_eq!(found(&spans(&blocks(3..7, record(2, Some((3, 7)), &[])))), [(3, 7, on)]);
        // What the record says counts, also where other blocks were not found.
        assert_eq!(found(&spans(&blocks(4..5, record(2, Some((3, 7)), &[])))), [(3, 7, on)]);
        // Nothing said: the blocks under which it stands, from the first to the last.
        let gap = [blocks(2..3, record(2, None, &[])), blocks(8..9, record(2, None, &[]))].concat();
        assert_eq!(found(&spans(&gap)), [(2, 9, on)]);
        // A higher state begins anew, a lower one is passed over.
        let moved =
            [blocks(0..4, record(0, Some((0, 4)), &[])), blocks(6..9, record(2, Some((6, 9)), &[]))].concat();
        assert_eq!(found(&spans(&moved)), [(6, 9, on)]);
        let left =
            [blocks(0..4, record(2, Some((0, 4)), &[])), blocks(6..9, record(0, Some((6, 9)), &[]))].concat();
        assert_eq!(found(&spans(&left)), [(0, 4, on)]);
        // Beyond the model's end there is nothing.
        assert_eq!(found(&spans(&blocks(10..12, record(0, Some((10, 99)), &[])))), [(10, 12, off)]);
        // It lives as long as the record that expires first.
        let lives = spans(&blocks(3..7, record(2, Some((3, 7)), &[]))).servers[0].1.seconds_to_live;
        assert_eq!(lives, 94.0);
    }

    #[test]
    fn a_bad_record_costs_one_line_and_nobody_else_anything() {
        let peers: Vec<String> = (0..6).map(|_| PeerId::random().to_base58()).collect();
        let good = record(2, Some((0, 12)), &[]);
        let huge = [good.clone(), vec![0; MOST_RECORD_BYTES]].concat();
        let result = spans(&[
            (0, &peers[0], good.clone()),
            (0, &peers[1], record(2, Some((12, 12)), &[])),
            (1, &peers[2], record(7, Some((0, 12)), &[])),
            (2, &peers[2], record(7, Some((0, 12)), &[])),
            (2, &peers[3], record(2, Some((u64::MAX, u64::MAX)), &[])),
            (3, &peers[4], huge),
            (4, &peers[5], b"\xc0".to_vec()),
            (5, "nobody", good),
        ]);
        assert_eq!(found(&result), [(0, 12, ServerState::Online)]);
        let mut told: Vec<_> =
            result.bad_records.iter().map(|bad| (bad.subkey.as_str(), bad.blocks.as_str())).collect();
        let mut expected = vec![
            (peers[1].as_str(), "0:1"),
            (&peers[2], "1:3"),
            (&peers[3], "2:3"),
            (&peers[4], "3:4"),
            (&peers[5], "4:5"),
            ("nobody", "5:6"),
        ];
        told.sort_unstable();
        expected.sort_unstable();
        assert_eq!(told, expected);
    }

    #[test]
    fn each_server_is_told_what_others_say_of_the_way_to_it() {
        let (a, b) = (PeerId::random().to_base58(), PeerId::random().to_base58());
        let pings = record(2, Some((0, 1)), &[(&b, 0.5), ("stranger", 1.0), (&a, f64::INFINITY)]);
        let result = spans(&[(0, &a, pings), (1, &b, record(2, Some((1, 2)), &[]))]);
        let of = |id: &str| {
            result.servers.iter().find(|(_, s)| s.peer_id == id).map(|(_, s)| s.pings_to_me.clone()).unwrap()
        };
        assert_eq!(of(&b), [(a.clone(), Some(0.5))].into());
        assert_eq!(of(&a), [(a.clone(), None)].into());
    }
}
