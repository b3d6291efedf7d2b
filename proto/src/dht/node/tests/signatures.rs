//! Protected records at a node with the validator, and at one without.

use serde_json::Value;

use super::{hearsay::Lone, *};
use crate::dht::{FoundValue, dictionary, routing::Contact};

/// A record of `tests/vectors/signatures.json`, as a row of a store.
fn golden(what: &str) -> Row {
    let text = include_str!("../../../../tests/vectors/signatures.json");
    let records: Vec<Value> = serde_json::from_str(text).unwrap();
    let record = records.iter().find(|record| record["what"] == what).unwrap();
    let bytes = |field: &str| hex::decode(record[field].as_str().unwrap()).unwrap();
    Row {
        key: bytes("key"),
        tag: bytes("subkey"),
        value: bytes("value").into(),
        expiration: record["expiration_time"].as_f64().unwrap(),
        in_cache: false,
    }
}

/// A node at the time of the golden records.
fn lone(signatures: bool) -> Lone {
    let mut lone = Lone::new(signatures);
    lone.now = DhtTime::from_unix(golden("signed").expiration - 100.0).unwrap();
    lone
}

const GOOD: [&str; 3] = ["signed", "signed, str subkey", "unprotected"];
const BAD: [&str; 4] = ["another value", "not signed", "signed by another", "an owner that is no key"];

#[test]
fn stores_are_validated_if_that_is_switched_on() {
    for signatures in [true, false] {
        for (whats, stored) in [(&GOOD[..], true), (&BAD[..], !signatures)] {
            for what in whats {
                let mut lone = lone(signatures);
                assert_eq!(lone.store(PeerId::random(), vec![golden(what)]), [stored], "{what}");
                assert_eq!(lone.node.counters().rows_refused.bad_signature, u64::from(!stored), "{what}");
            }
        }
    }
}

/// A whole dictionary of these records.
fn dictionary_of(whats: &[&str]) -> Vec<u8> {
    let rows: Vec<Row> = whats.iter().map(|what| golden(what)).collect();
    let subkeys: Vec<Subkey> = rows.iter().map(|row| Subkey::decode(&row.tag).unwrap()).collect();
    let items = rows.iter().zip(&subkeys).map(|(row, subkey)| (subkey, &row.value[..], row.expiration));
    dictionary::encode(rows[0].expiration, items)
}

#[test]
fn every_subkey_of_a_dictionary_is_validated_and_the_good_ones_are_handed_on_as_they_came() {
    let mut lone = lone(true);
    let whats = ["signed", "an owner that is no key", "signed, str subkey", "unprotected"];
    let whole = Row { tag: vec![], value: dictionary_of(&whats).into(), ..golden("signed") };
    assert_eq!(lone.store(PeerId::random(), vec![whole]), [false], "one of them is bad");
    let counters = lone.node.counters();
    assert_eq!((counters.rows_stored, counters.rows_refused.bad_signature), (3, 1));
    let Some(FoundValue::Dictionary(found, _)) = lone.find("protected") else { panic!() };
    let items = dictionary::decode(&found, 9).unwrap();
    assert_eq!(items.len(), 3);
    for what in ["signed", "signed, str subkey"] {
        let row = golden(what);
        let item = items.iter().find(|item| item.subkey.as_bytes() == row.tag).unwrap();
        assert_eq!((item.value, item.expiration), (&row.value[..], row.expiration), "{what}");
    }
}

#[test]
fn what_peers_return_is_validated() {
    for signatures in [true, false] {
        let mut lone = lone(signatures);
        let key = DhtId::of_text("protected");
        let contact = Contact { id: DhtId::of_text("liar"), peer: PeerId::random() };
        lone.node.lookup_through(contact, [key], lone.now);
        let Some(Effect::Call { call, .. }) = lone.node.next_effect() else { panic!() };
        let whats = ["signed", "an owner that is no key", "unprotected"];
        let value = Some(FoundValue::Dictionary(dictionary_of(&whats), golden("signed").expiration));
        let results = vec![crate::dht::FindResult { value, neighbours: vec![] }];
        let response = Response::Find { sender: Some(contact.id), results };
        lone.node.call_ended(call, Ok(response), lone.now);
        let Some(Effect::Done { outcome: Outcome::Lookup(found), .. }) = lone.node.next_effect() else {
            panic!()
        };
        let Some(FreshValue::Dictionary(found)) = &found[&key].value else { panic!() };
        assert_eq!(found.len(), if signatures { 2 } else { 3 });
        assert!(found.get(&Subkey::decode(&golden("signed").tag).unwrap()).is_some());
        assert_eq!(lone.node.counters().found_unsigned, u64::from(signatures));
    }
}
