//! A life and a coverage as bytes: what stands in a row of the file. Numbers are of 7 bits a byte, low ones first, and
//! times are told by their distance from the one before.
//!
//! ```text
//! life      first_seen, name, model, then of each change: 8 × distance + sighting
//! text      0 if there is none, or 1 + bytes, and the bytes
//! coverage  of each span: distance of its begin from the end before, length
//! ```

use super::{
    coverage::{Coverage, Span},
    life::{Change, Life},
    sighting::Sighting,
};

/// Sightings share a number with a distance.
const SIGHTINGS: u64 = 8;

/// The bytes of a life.
pub(super) fn life_to_bytes(life: &Life) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    put(&mut bytes, life.first_seen);
    put_text(&mut bytes, life.name.as_deref());
    put_text(&mut bytes, life.model.as_deref());
    let mut before = life.first_seen;
    for change in life.changes() {
        put(&mut bytes, (change.at - before) * SIGHTINGS + change.sighting.place() as u64);
        before = change.at;
    }
    bytes
}

/// The life in these bytes; `None` if there is none.
pub(super) fn life_of_bytes(mut bytes: &[u8]) -> Option<Life> {
    let first_seen = take(&mut bytes)?;
    let name = take_text(&mut bytes)?;
    let model = take_text(&mut bytes)?;
    let (mut at, mut changes) = (first_seen, Vec::new());
    while !bytes.is_empty() {
        let number = take(&mut bytes)?;
        at = at.checked_add(number / SIGHTINGS)?;
        let sighting = *Sighting::ALL.get(usize::try_from(number % SIGHTINGS).ok()?)?;
        changes.push(Change { at, sighting });
    }
    Life::of(first_seen, name, model, changes)
}

/// The bytes of a coverage.
pub(super) fn coverage_to_bytes(coverage: &Coverage) -> Vec<u8> {
    let (mut bytes, mut before) = (Vec::new(), 0);
    for span in coverage.spans() {
        put(&mut bytes, span.from - before);
        put(&mut bytes, span.to - span.from);
        before = span.to;
    }
    bytes
}

/// The coverage in these bytes, as far as it can be read.
pub(super) fn coverage_of_bytes(mut bytes: &[u8]) -> Coverage {
    let mut before = 0u64;
    let spans = std::iter::from_fn(move || {
        let from = before.checked_add(take(&mut bytes)?)?;
        let to = from.checked_add(take(&mut bytes)?)?;
        before = to;
        Some(Span { from, to })
    });
    Coverage::of(spans)
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 1 << 7 {
        bytes.push(number as u8 | 1 << 7);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(first & 0x7f);
        if part > u64::MAX >> shift {
            return None;
        }
        number |= part << shift;
        if first & 1 << 7 == 0 {
            return Some(number);
        }
    }
    None
}

fn put_text(bytes: &mut Vec<u8>, text: Option<&str>) {
    put(bytes, text.map_or(0, |text| text.len() as u64 + 1));
    bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
}

fn take_text(bytes: &mut &[u8]) -> Option<Option<String>> {
    let Some(length) = take(bytes)?.checked_sub(1) else { return Some(None) };
    let (text, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(Some(std::str::from_utf8(text).ok()?.to_owned()))
}
