//! Multistream frames: a length of one or two varint bytes, then a body that ends with a line feed.
//! Source: the multistream-select 1.0 specification (libp2p/specs, `connections`).

use std::borrow::Cow;

pub(super) const HEADER: &[u8] = b"/multistream/1.0.0\n";
pub(super) const NA: &[u8] = b"na\n";
const LS: &[u8] = b"ls\n";

/// Translates one name.
pub(super) type Rename = fn(&[u8]) -> Cow<'_, [u8]>;

/// How far the collection of a frame is.
pub(super) enum Progress {
    /// Up to this many more bytes belong to the frame, at least one. Taking no more never reads
    /// beyond it.
    Need(usize),
    /// Complete; the body starts at this offset.
    Done(usize),
    /// The length is longer than the two bytes that are allowed.
    Bad,
}

/// What is still missing of a frame of which `frame` was collected.
pub(super) fn progress(frame: &[u8]) -> Progress {
    let (body, head) = match *frame {
        [] => return Progress::Need(1),
        [a, ..] if a < 0x80 => (usize::from(a), 1),
        [_] => return Progress::Need(1),
        [a, b, ..] if b < 0x80 => (usize::from(a & 0x7f) | usize::from(b) << 7, 2),
        _ => return Progress::Bad,
    };
    match (head + body).saturating_sub(frame.len()) {
        0 => Progress::Done(head),
        missing => Progress::Need(missing),
    }
}

/// What a frame means for the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A proposal or its confirmation.
    Name,
    /// A proposal was refused.
    NotAvailable,
    /// The header, `ls`, an answer to `ls`, or something malformed: without effect on the state.
    Other,
}

/// Appends `body` as a frame to `out`, its names renamed, and says what it was. What is not
/// understood is copied as it is: the stock code then judges it.
pub(super) fn translate(body: &[u8], rename: Rename, out: &mut Vec<u8>) -> Kind {
    match body {
        HEADER | LS => put_frame(out, &[body]),
        NA => {
            put_frame(out, &[body]);
            return Kind::NotAvailable;
        }
        [name @ .., b'\n'] if !name.is_empty() && !name.contains(&b'\n') => {
            put_frame(out, &[&rename(name), b"\n"]);
            return Kind::Name;
        }
        _ => match translate_list(body, rename) {
            Some(list) => put_frame(out, &[&list]),
            None => put_frame(out, &[body]),
        },
    }
    Kind::Other
}

/// The answer to `ls`: one frame a name, then a line feed.
fn translate_list(mut list: &[u8], rename: Rename) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    while list != b"\n" {
        let head = if *list.first()? < 0x80 { 1 } else { 2 };
        let length = match progress(list.get(..head)?) {
            Progress::Need(length) => length,
            Progress::Done(_) | Progress::Bad => return None,
        };
        let (item, rest) = list.get(head..)?.split_at_checked(length)?;
        put_frame(&mut out, &[&rename(item.strip_suffix(b"\n")?), b"\n"]);
        list = rest;
    }
    out.push(b'\n');
    Some(out)
}

/// Appends the frame whose body is all of `parts`.
pub(super) fn put_frame(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let mut length: usize = parts.iter().map(|part| part.len()).sum();
    out.reserve(length + 3);
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    for part in parts {
        out.extend_from_slice(part);
    }
}
