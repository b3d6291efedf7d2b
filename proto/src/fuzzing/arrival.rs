//! What an inbound substream is for: our negotiation of handlers, beside the stock one.

use std::{cell::RefCell, future::poll_fn};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use multistream_select::listener_select_proto;

use super::remote::{Remote, finish};
use crate::bare_name::{Arrival, BareStream, HandlerName, Proposal};

/// The handlers that are served.
const HANDLERS: [&str; 3] = ["DHTProtocol.rpc_ping", "DHTProtocol.rpc_store", "a"];

/// What the swarm serves.
const PROTOCOLS: [&str; 2] = ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"];

/// What was agreed upon, as it is named inside, and the data after it.
type Agreed = Option<(String, Vec<u8>)>;

/// Who agreed, or would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Us,
    Stock,
    Nobody,
}

/// A substream ends as it would under the stock negotiation alone, which is told the handlers' names, too: with the
/// same name, the same data, and the same bytes to the remote, however its bytes are split. Once a substream was
/// handed on, the stock code serves no handler.
pub fn arrival(sent: &[u8]) {
    let whole = received(sent, usize::MAX);
    assert_eq!(whole, received(sent, 1));
    let (by, agreed, told) = whole;
    let names = PROTOCOLS.map(str::to_owned).into_iter();
    let reference = match by {
        By::Stock => stock(sent, names.collect()),
        By::Us | By::Nobody => stock(sent, names.chain(HANDLERS.iter().filter_map(inside)).collect()),
    };
    assert_eq!(agreed, reference.0, "agreed by {by:?}");
    if agreed.is_some() {
        assert_eq!(told, reference.1, "agreed by {by:?}");
    }
}

fn inside(handler: &&str) -> Option<String> {
    Some(HandlerName::new(handler).ok()?.protocol().to_string())
}

fn received(sent: &[u8], chunk: usize) -> (By, Agreed, Vec<u8>) {
    let told = RefCell::default();
    let mut arrival = Arrival::new(Remote { sent, chunk, told: Some(&told) });
    let (by, agreed) = finish(async {
        loop {
            match poll_fn(|cx| arrival.poll_proposal(cx)).await {
                Err(_) => return (By::Nobody, None),
                Ok(Proposal::Other) => {
                    let agreed = listener_select_proto(arrival.hand_on(), PROTOCOLS).await;
                    let Ok((name, stream)) = agreed else { return (By::Stock, None) };
                    return (By::Stock, used(name.to_owned(), stream).await);
                }
                Ok(Proposal::Handler) if HANDLERS.contains(&arrival.name()) => {
                    let Some(name) = inside(&arrival.name()) else { return (By::Us, None) };
                    return (By::Us, used(name, arrival.accept()).await);
                }
                Ok(Proposal::Handler) => arrival.refuse(),
            }
        }
    });
    (by, agreed, told.into_inner())
}

fn stock(sent: &[u8], names: Vec<String>) -> (Agreed, Vec<u8>) {
    let told = RefCell::default();
    let remote = Remote { sent, chunk: usize::MAX, told: Some(&told) };
    let agreed = finish(async {
        let (name, stream) = listener_select_proto(BareStream::listener(remote), names).await.ok()?;
        used(name, stream).await
    });
    (agreed, told.into_inner())
}

/// Reads all data, and says something.
async fn used(name: String, mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Agreed {
    let mut data = Vec::new();
    stream.read_to_end(&mut data).await.ok()?;
    stream.write_all(b"answer").await.ok()?;
    stream.close().await.ok()?;
    Some((name, data))
}
