//! The handshake of a substream, under the stock negotiation.

use futures::AsyncReadExt;
use multistream_select::{Version, dialer_select_proto, listener_select_proto};

use super::remote::{Remote, finish};
use crate::bare_name::BareStream;

/// What is served, and what is asked for.
const NAMES: [&str; 3] = ["/bare/DHTProtocol.rpc_ping", "/ipfs/id/1.0.0", "/bare/a"];

/// What came of a handshake: the name, and the data after it.
type Outcome = Option<(String, Vec<u8>)>;

/// A handshake ends, with the same outcome however its bytes are split, and hands on no more than came. The first
/// byte says which side we are on.
pub fn handshake(bytes: &[u8]) {
    let Some((role, sent)) = bytes.split_first() else { return };
    let whole = outcome(*role, sent, usize::MAX);
    assert_eq!(whole, outcome(*role, sent, 1));
    assert!(whole.is_none_or(|(_, data)| data.len() <= sent.len()));
}

fn outcome(role: u8, sent: &[u8], chunk: usize) -> Outcome {
    let remote = Remote { sent, chunk, told: None };
    finish(async move {
        let (name, mut stream) = match role % 3 {
            0 => listener_select_proto(BareStream::listener(remote), NAMES).await.ok()?,
            1 => dialer_select_proto(BareStream::dialer(remote), NAMES, Version::V1).await.ok()?,
            _ => dialer_select_proto(BareStream::dialer(remote), NAMES, Version::V1Lazy).await.ok()?,
        };
        let mut data = Vec::new();
        // A lazy negotiation may yet fail here.
        stream.read_to_end(&mut data).await.ok()?;
        Some((name.to_owned(), data))
    })
}
