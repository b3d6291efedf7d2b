//! What hostile peers do. Each load runs in a process of its own, for a bounded time and at a bounded rate.

use std::{net::Ipv4Addr, time::Duration};

use futures::{
    AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered,
};
use hivemind_proto::dht::{DhtId, FIND_HANDLER, PING_HANDLER, Request, Row, STORE_HANDLER};
use libp2p::{PeerId, identity::Keypair};
use multistream_select::{Version, dialer_select_proto};
use rand::Rng;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    windows::windows,
    wire::{Failure, LIMIT, Wire, call, proposal, secured, tcp},
};

/// Where the attackers come from: loopback, but not from the honest peers' address.
pub(crate) const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// Between two bytes of one who lets others wait.
const DRIBBLE: Duration = Duration::from_millis(500);

/// Attackers that do the same at once.
const CROWD: usize = 300;

/// Tries of one attacker, at most: the second bound of every loop, beside its time.
const TRIES: usize = 100_000;

/// Handler of a server.
const INFO: &str = "TransformerConnectionHandler.rpc_info";

/// Whom to attack, until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    pub(crate) port: u16,
    pub(crate) peer: PeerId,
    pub(crate) until: Instant,
    /// In Unix seconds, when the attack began.
    pub(crate) now: f64,
    pub(crate) seconds: f64,
}

type Load = fn(Aim) -> BoxFuture<'static, ()>;

/// All loads by name.
pub(crate) const LOADS: [(&str, Load); 17] = [
    ("connections", |aim| crowd(aim, |aim| connect_and_stay(aim).boxed()).boxed()),
    ("half_open", |aim| crowd(aim, |aim| silent(aim).boxed()).boxed()),
    ("slow_tcp", |aim| crowd(aim, |aim| slow_tcp(aim).boxed()).boxed()),
    ("slow_noise", |aim| crowd(aim, |aim| slow_noise(aim).boxed()).boxed()),
    ("slow_yamux", |aim| crowd(aim, |aim| slow_yamux(aim).boxed()).boxed()),
    ("slow_names", |aim| few(aim, |aim| slow_streams(aim, proposal(PING_HANDLER), 0).boxed()).boxed()),
    ("slow_calls", |aim| {
        let start = [proposal(PING_HANDLER), vec![0xff, 0xff, 0x7f]].concat();
        let said = start.len();
        few(aim, move |aim| slow_streams(aim, [start.clone(), vec![0; 4096]].concat(), said).boxed()).boxed()
    }),
    ("streams", |aim| few(aim, |aim| streams(aim).boxed()).boxed()),
    ("large_calls", |aim| few(aim, |aim| large_calls(aim).boxed()).boxed()),
    ("windows", |aim| few(aim, |aim| windows(aim).boxed()).boxed()),
    ("never_reads", |aim| few(aim, |aim| never_reads(aim).boxed()).boxed()),
    ("keys", |aim| keys(aim).map(drop).boxed()),
    ("eclipse", |aim| few(aim, |aim| eclipse(aim).boxed()).boxed()),
    ("garbage", |aim| few(aim, |aim| garbage(aim).boxed()).boxed()),
    ("records", |aim| few(aim, |aim| records(aim).boxed()).boxed()),
    ("forged_calls", |aim| few(aim, |aim| forged_calls(aim).boxed()).boxed()),
    ("identities", |aim| few(aim, |aim| identities(aim).boxed()).boxed()),
];

/// Lets [`CROWD`] of them do it again and again.
async fn crowd(
    aim: Aim,
    attack: impl Fn(Aim) -> BoxFuture<'static, Result<(), Failure>> + Clone + Send + 'static,
) {
    many(CROWD, aim, attack).await;
}

/// The same with as many as a peer may have connections.
async fn few(
    aim: Aim,
    attack: impl Fn(Aim) -> BoxFuture<'static, Result<(), Failure>> + Clone + Send + 'static,
) {
    many(4, aim, attack).await;
}

async fn many(
    count: usize,
    aim: Aim,
    attack: impl Fn(Aim) -> BoxFuture<'static, Result<(), Failure>> + Clone + Send + 'static,
) {
    let one = |number: usize| {
        let attack = attack.clone();
        async move {
            sleep(Duration::from_millis(number as u64)).await;
            for _ in 0..TRIES {
                if timeout(aim.until.saturating_duration_since(Instant::now()), attack(aim)).await.is_err() {
                    return;
                }
                // Whoever is turned away comes again, and never spins.
                sleep(Duration::from_millis(20)).await;
            }
        }
    };
    let mut all: FuturesUnordered<_> = (0..count).map(one).collect();
    while all.next().await.is_some() {}
}

async fn connect(aim: Aim) -> Result<Wire, Failure> {
    Wire::connect(&Keypair::generate_ed25519(), SOURCE, aim.port).await
}

pub(crate) fn id() -> [u8; 16] {
    rand::random()
}

async fn connect_and_stay(aim: Aim) -> Result<(), Failure> {
    let wire = connect(aim).await?;
    // Until it is closed.
    let mut stream = wire.stream().await?;
    stream.write_all(b"\x13/multistream/1.0.0\n").await?;
    stream.flush().await?;
    let _ = stream.read(&mut [0; 1]).await;
    let _ = wire.stream().await?;
    sleep_until(aim.until).await;
    Ok(())
}

async fn silent(aim: Aim) -> Result<(), Failure> {
    let mut tcp = tcp(SOURCE, aim.port).await?;
    let _ = tcp.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

async fn slow_tcp(aim: Aim) -> Result<(), Failure> {
    let mut tcp = tcp(SOURCE, aim.port).await?;
    for byte in b"\x13/multistream/1.0.0\n\x07/noise\n" {
        tcp.write_all(&[*byte]).await?;
        sleep(DRIBBLE).await;
    }
    Ok(())
}

async fn slow_noise(aim: Aim) -> Result<(), Failure> {
    let io = libp2p::tcp::tokio::TcpStream(tcp(SOURCE, aim.port).await?);
    let (_, mut io) = dialer_select_proto(io, ["/noise"], Version::V1).await?;
    // The length of a handshake message, and of it one byte after the other.
    for byte in [0, 32].into_iter().chain([7; 32]) {
        io.write_all(&[byte]).await?;
        io.flush().await?;
        sleep(DRIBBLE).await;
    }
    Ok(())
}

async fn slow_yamux(aim: Aim) -> Result<(), Failure> {
    let (_, io) = secured(&Keypair::generate_ed25519(), SOURCE, aim.port).await?;
    let (_, mut io) = dialer_select_proto(io, ["/yamux/1.0.0"], Version::V1).await?;
    // The head of a frame with data, which never follows.
    for byte in [0, 0, 0, 1, 0, 0, 0, 1, 0, 3, 0xff, 0xff].into_iter().chain([7; 1000]) {
        io.write_all(&[byte]).await?;
        io.flush().await?;
        sleep(DRIBBLE).await;
    }
    Ok(())
}

/// Opens streams and says `text` on all of them, from `start` on one byte at a time.
async fn slow_streams(aim: Aim, text: Vec<u8>, start: usize) -> Result<(), Failure> {
    let wire = connect(aim).await?;
    let mut open = Vec::new();
    for _ in 0..1000 {
        let mut stream = wire.stream().await?;
        stream.write_all(&text[..start]).await?;
        stream.flush().await?;
        open.push(stream);
    }
    for byte in &text[start..] {
        let mut alive = 0;
        for stream in &mut open {
            let written = stream.write_all(&[*byte]).await.is_ok() && stream.flush().await.is_ok();
            alive += u32::from(written);
        }
        if alive == 0 {
            break;
        }
        sleep(DRIBBLE).await;
    }
    Ok(())
}

/// Streams without a pause, each with a call that nobody waits for.
async fn streams(aim: Aim) -> Result<(), Failure> {
    let wire = connect(aim).await?;
    let ping = Request::Ping { sender: None, validate: false }.encode();
    let mut open = std::collections::VecDeque::new();
    for _ in 0..TRIES {
        let message = call(PING_HANDLER, &aim.peer, id(), ping.clone());
        open.push_back(wire.say(PING_HANDLER, &message).await?);
        if open.len() > 500 {
            open.pop_front();
        }
    }
    Ok(())
}

/// Messages of 4 MiB, all but their last byte, as many as are taken.
async fn large_calls(aim: Aim) -> Result<(), Failure> {
    let wire = connect(aim).await?;
    let message = call(PING_HANDLER, &aim.peer, id(), vec![7; (4 << 20) - 200]);
    let mut all = FuturesUnordered::new();
    for _ in 0..64 {
        all.push(async {
            let mut stream = wire.say(PING_HANDLER, &[]).await?;
            stream.write_all(&message[..message.len() - 1]).await?;
            stream.flush().await?;
            let _ = stream.read(&mut [0; 1024]).await?;
            sleep(Duration::from_secs(10)).await;
            Ok::<_, Failure>(())
        });
    }
    while all.next().await.is_some() {}
    Ok(())
}

/// Stores a dictionary of some 2 MiB, asks for it again and again, and reads nothing.
async fn never_reads(aim: Aim) -> Result<(), Failure> {
    let wire = connect(aim).await?;
    let key = DhtId::of_text("large");
    for batch in 0..40u32 {
        let rows = (0..50u32).map(|n| Row {
            key: key.as_bytes().to_vec(),
            tag: rmp(format!("{}", batch * 50 + n).as_bytes()),
            value: [&[0xc5, 0x04, 0x00][..], &[7; 1024]].concat().into(),
            expiration: aim.now + aim.seconds,
            in_cache: false,
        });
        let store = Request::Store { sender: None, rows: rows.collect() };
        let _ = wire.call(STORE_HANDLER, &aim.peer, id(), store.encode()).await?;
    }
    let find = Request::Find { sender: None, keys: vec![key] }.encode();
    let mut open = Vec::new();
    for _ in 0..1000 {
        open.push(wire.say(FIND_HANDLER, &call(FIND_HANDLER, &aim.peer, id(), find.clone())).await?);
    }
    sleep(LIMIT).await;
    Ok(())
}

/// A msgpack str.
fn rmp(text: &[u8]) -> Vec<u8> {
    [&[0xd9, text.len() as u8], text].concat()
}

/// 100,000 keys from one peer, spread over the time, of which each lives a few seconds.
async fn keys(aim: Aim) -> Result<(), Failure> {
    let wire = connect(aim).await?;
    let (batches, began) = (200, Instant::now());
    for batch in 0..batches {
        let rows = (0..500).map(|_| Row {
            key: rand::random::<[u8; 20]>().to_vec(),
            tag: vec![0xc0],
            value: [&[0xc4, 100][..], &[7; 100]].concat().into(),
            expiration: aim.now + aim.seconds + 2.0,
            in_cache: false,
        });
        let store = Request::Store { sender: Some(DhtId::of_text("sybil")), rows: rows.collect() };
        let _ = wire.call(STORE_HANDLER, &aim.peer, id(), store.encode()).await?;
        sleep_until(
            began + Duration::from_secs_f64(aim.seconds * 0.8 * f64::from(batch + 1) / f64::from(batches)),
        )
        .await;
    }
    sleep_until(aim.until).await;
    Ok(())
}

/// Ids near the node's own and near its keys, each with a peer id of its own.
async fn eclipse(aim: Aim) -> Result<(), Failure> {
    let wire = connect(aim).await?;
    let near = DhtId::of_text("test-model.0");
    for number in 0..20u32 {
        let mut bytes = *near.as_bytes();
        bytes[16..].copy_from_slice(&rand::rng().next_u32().to_be_bytes());
        let sender = DhtId::from_bytes(&bytes);
        let ask = match number % 2 {
            0 => Request::Ping { sender, validate: true },
            _ => Request::Find { sender, keys: sender.into_iter().collect() },
        };
        let _ = wire.call(ask.handler(), &aim.peer, id(), ask.encode()).await?;
    }
    Ok(())
}

/// Messages that are none.
async fn garbage(aim: Aim) -> Result<(), Failure> {
    let wire = connect(aim).await?;
    let deep = vec![0x91; 100_000];
    for handler in [PING_HANDLER, STORE_HANDLER, FIND_HANDLER, INFO] {
        let mut random = vec![0; 2000];
        rand::rng().fill_bytes(&mut random);
        for data in [random.clone(), vec![0xff; 32], deep.clone(), vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]] {
            let _ = wire.call(handler, &aim.peer, id(), data).await?;
        }
        // A length that never ends, one that is far too large, and a message that is noise.
        for said in [&[0xff; 64][..], &[0xff, 0xff, 0xff, 0xff, 0x7f], &random] {
            let mut stream = wire.say(handler, said).await?;
            let _ = timeout(LIMIT, stream.read(&mut [0; 256])).await?;
        }
    }
    // Proposals that are none.
    for opening in [&[0xff; 100][..], b"\x13/multistream/1.0.0\n\x01\n", b"\x13/multistream/1.0.0\n\x03ls\n"]
    {
        let mut stream = wire.stream().await?;
        stream.write_all(opening).await?;
        stream.flush().await?;
        stream.close().await?;
        let _ = timeout(LIMIT, stream.read(&mut [0; 256])).await?;
    }
    Ok(())
}

/// Records that nobody may write: of other peers, for ever, for never, in depth.
async fn records(aim: Aim) -> Result<(), Failure> {
    let wire = connect(aim).await?;
    let key = DhtId::of_text("test-model.0").as_bytes().to_vec();
    let subkey = rmp(aim.peer.to_base58().as_bytes());
    // (0, 0.0, {}): OFFLINE.
    let offline = vec![0xc7, 11, 0x40, 0x93, 0x00, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0, 0x80];
    let deep = [vec![0x91; 50_000], vec![0xc0]].concat();
    let soon = aim.now + 3600.0;
    let mut rows = Vec::new();
    for (tag, value, expiration) in [
        (subkey.clone(), offline.clone(), soon),
        (subkey.clone(), offline.clone(), f64::NAN),
        (subkey.clone(), offline.clone(), f64::INFINITY),
        (subkey.clone(), offline.clone(), -1.0),
        (subkey.clone(), deep.clone(), soon),
        (vec![0xc0], offline.clone(), f64::NAN),
        (deep.clone(), offline.clone(), soon),
        (vec![], [vec![0xc9, 0, 0, 0xc3, 0x51, 0x50], deep].concat(), soon),
        (vec![0xdd, 0xff, 0xff, 0xff, 0xff], offline, soon),
    ] {
        rows.push(Row { key: key.clone(), tag, value: value.into(), expiration, in_cache: false });
    }
    for in_cache in [false, true] {
        let rows = rows.iter().map(|row| Row { in_cache, ..row.clone() }).collect();
        let store = Request::Store { sender: None, rows };
        let _ = wire.call(STORE_HANDLER, &aim.peer, id(), store.encode()).await?;
    }
    Ok(())
}

/// Calls in the name of others, and many calls with one id: each is answered as what it is.
async fn forged_calls(aim: Aim) -> Result<(), Failure> {
    let wire = connect(aim).await?;
    let replayed = id();
    let ping = Request::Ping { sender: None, validate: false }.encode();
    let calls = (0..50).map(|number| {
        let claimed = if number % 2 == 0 { aim.peer } else { PeerId::random() };
        let (wire, ping) = (&wire, ping.clone());
        async move { wire.call(PING_HANDLER, &claimed, replayed, ping).await }
    });
    let mut calls: FuturesUnordered<_> = calls.collect();
    while let Some(answer) = calls.next().await {
        let (id, answer) = answer?;
        assert!(id == replayed && answer.is_ok(), "{answer:?}");
    }
    Ok(())
}

/// A new peer for every call.
async fn identities(aim: Aim) -> Result<(), Failure> {
    let wire = connect(aim).await?;
    let find = Request::Find { sender: Some(DhtId::of_bytes(&id())), keys: vec![DhtId::of_bytes(&id())] };
    let _ = wire.call(FIND_HANDLER, &aim.peer, id(), find.encode()).await?;
    Ok(())
}
