//! The negotiation of a stream, both sides of it, over a channel in memory: a bare name below stock multistream-select,
//! beside a name with a slash without the wrapper.

use criterion::{BatchSize, Criterion};
use futures::{StreamExt, executor::block_on, future};
use hivemind_proto::bare_name::{BareStream, HandlerName};
use libp2p::core::{
    Endpoint, Transport,
    transport::{Boxed, DialOpts, ListenerId, MemoryTransport, PortUse, TransportEvent, memory::Channel},
};
use multistream_select::{Version, dialer_select_proto, listener_select_proto};

/// The dialer's and the listener's end of a connection in memory.
fn connection(transport: &mut Boxed<Channel<Vec<u8>>>) -> (Channel<Vec<u8>>, Channel<Vec<u8>>) {
    let listener = ListenerId::next();
    transport.listen_on(listener, "/memory/0".parse().unwrap()).unwrap();
    let address = match block_on(transport.select_next_some()) {
        TransportEvent::NewAddress { listen_addr, .. } => listen_addr,
        event => panic!("an address comes first: {event:?}"),
    };
    let how = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };
    let dialled = transport.dial(address, how).unwrap();
    let arrived = async {
        loop {
            if let TransportEvent::Incoming { upgrade, .. } = transport.select_next_some().await {
                return upgrade.await.unwrap();
            }
        }
    };
    let (dialled, arrived) = block_on(future::join(dialled, arrived));
    transport.remove_listener(listener);
    (dialled.unwrap(), arrived)
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake");
    let name = HandlerName::new("DHTProtocol.rpc_find").unwrap().protocol();
    for (how, version) in [("waiting", Version::V1), ("lazy", Version::V1Lazy)] {
        group.bench_function(format!("bare name, {how}"), |b| {
            let mut transport = MemoryTransport::new().boxed();
            b.iter_batched(
                || connection(&mut transport),
                |(a, b)| {
                    let dialer = dialer_select_proto(BareStream::dialer(a), [&name], version);
                    let listener = listener_select_proto(BareStream::listener(b), [&name]);
                    agree(dialer, listener)
                },
                BatchSize::SmallInput,
            )
        });
        group.bench_function(format!("stock, {how}"), |b| {
            let mut transport = MemoryTransport::new().boxed();
            b.iter_batched(
                || connection(&mut transport),
                |(a, b)| {
                    let dialer = dialer_select_proto(a, ["/DHTProtocol.rpc_find"], version);
                    agree(dialer, listener_select_proto(b, ["/DHTProtocol.rpc_find"]))
                },
                BatchSize::SmallInput,
            )
        });
    }
    group.finish();
}

/// Runs both sides until they agree. A lazy dialer has sent nothing before it is flushed or closed.
fn agree<N, M, E: std::fmt::Debug, S: futures::AsyncWrite + Unpin, T>(
    dialer: impl Future<Output = Result<(N, S), E>>,
    listener: impl Future<Output = Result<(M, T), E>>,
) -> (S, T) {
    let dialer = async {
        let (_, mut stream) = dialer.await.unwrap();
        futures::AsyncWriteExt::flush(&mut stream).await.unwrap();
        stream
    };
    let listener = async { listener.await.unwrap().1 };
    block_on(future::join(dialer, listener))
}
