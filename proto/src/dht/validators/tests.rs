//! The original's verdicts on golden records (`tests/vectors/signatures.py`), and the rations.

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
struct Golden {
    what: String,
    #[serde(with = "hex_text")]
    key: Vec<u8>,
    #[serde(with = "hex_text")]
    subkey: Vec<u8>,
    #[serde(with = "hex_text")]
    value: Vec<u8>,
    expiration_time: f64,
    /// None where the original raises.
    valid: Option<bool>,
}

mod hex_text {
    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Ok(hex::decode(String::deserialize(deserializer)?).unwrap())
    }
}

impl Golden {
    fn claim(&self) -> Claim<'_> {
        let Self { key, subkey, value, expiration_time, .. } = self;
        Claim { key, subkey, value, expiration: *expiration_time }
    }
}

fn golden() -> Vec<Golden> {
    serde_json::from_str(include_str!("../../../tests/vectors/signatures.json")).unwrap()
}

fn named(what: &str) -> Golden {
    golden().into_iter().find(|record| record.what == what).unwrap()
}

fn now() -> DhtTime {
    DhtTime::from_unix(1_795_370_000.0).unwrap()
}

fn seconds_later(seconds: u64) -> DhtTime {
    now() + std::time::Duration::from_secs(seconds)
}

#[test]
fn verdicts_are_the_originals() {
    let golden = golden();
    assert!(golden.iter().filter(|record| record.valid == Some(true)).count() >= 10);
    for record in golden {
        let verdict = verify(&record.claim());
        assert_eq!(verdict.is_ok(), record.valid == Some(true), "{}: {verdict:?}", record.what);
    }
}

#[test]
fn every_byte_counts() {
    let signed = named("signed");
    for at in (0..signed.value.len()).step_by(7) {
        let mut value = signed.value.clone();
        value[at] ^= 1;
        assert!(verify(&Claim { value: &value, ..signed.claim() }).is_err(), "byte {at} of the value");
    }
    for at in 0..signed.key.len() {
        let mut key = signed.key.clone();
        key[at] ^= 0x80;
        assert!(verify(&Claim { key: &key, ..signed.claim() }).is_err(), "byte {at} of the key");
    }
    for end in 0..signed.value.len() {
        assert!(verify(&Claim { value: &signed.value[..end], ..signed.claim() }).is_err(), "cut at {end}");
    }
}

#[test]
fn one_peer_cannot_spend_the_rations_of_another() {
    let (flooder, honest) = (PeerId::random(), PeerId::random());
    let (bad, good) = (named("another value"), named("signed"));
    let mut validator = SignatureValidator::new(now());
    let mut flood = |occasion, checks: usize| {
        let verdicts = (0..checks).map(|_| validator.check(&bad.claim(), occasion, now()));
        let refused = |wanted| move |verdict: &Result<(), Refusal>| *verdict == Err(wanted);
        let verdicts: Vec<_> = verdicts.collect();
        (
            verdicts.iter().filter(|v| refused(Refusal::BadSignature)(v)).count(),
            verdicts.iter().filter(|v| refused(Refusal::Unverified)(v)).count(),
        )
    };
    let ration = CHECKS_A_PEER.burst as usize;
    assert_eq!(flood(Occasion::Store(flooder), ration + 9), (ration, 9));
    assert_eq!(flood(Occasion::Find(flooder), 1), (1, 0), "lookups have rations of their own");
    assert_eq!(validator.check(&good.claim(), Occasion::Store(honest), now()), Ok(()));
    // Verified once, it costs nothing any more, not even the flooder.
    assert_eq!(validator.check(&good.claim(), Occasion::Store(flooder), now()), Ok(()));
    assert_eq!(validator.check(&bad.claim(), Occasion::Store(flooder), now()), Err(Refusal::Unverified));
    assert_eq!(
        validator.check(&bad.claim(), Occasion::Store(flooder), seconds_later(1)),
        Err(Refusal::BadSignature)
    );
}

#[test]
fn all_peers_together_are_rationed() {
    let bad = named("another value");
    let mut validator = SignatureValidator::new(now());
    let peers: Vec<PeerId> = (0..CHECKS.burst as usize + 5).map(|_| PeerId::random()).collect();
    let verdicts = peers.into_iter().map(|peer| validator.check(&bad.claim(), Occasion::Store(peer), now()));
    assert_eq!(verdicts.filter(|verdict| *verdict == Err(Refusal::Unverified)).count(), 5);
}

#[test]
fn what_is_not_protected_costs_nothing() {
    let (plain, peer) = (named("unprotected, plain"), PeerId::random());
    let mut validator = SignatureValidator::new(now());
    for _ in 0..10_000 {
        assert_eq!(validator.check(&plain.claim(), Occasion::Store(peer), now()), Ok(()));
    }
}
