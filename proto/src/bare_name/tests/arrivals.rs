//! Handlers are agreed upon here, libp2p's protocols by the stock code that goes on where we stopped.

use std::future::poll_fn;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future::Either};
use multistream_select::{NegotiationError, Version, dialer_select_proto, listener_select_proto};

use super::{
    super::{
        BareStream, HandlerName,
        arrival::{Arrival, Proposal},
    },
    all_inside, inside,
    peers::{MULTISTREAM, Manner, data, frame, go_dialer, listen_first, names, read_frame, run, talk_first},
    pipe::{End, Rng, pipe, pipe_of},
    version,
};

fn is_handler(name: &str) -> bool {
    HandlerName::new(name).is_ok()
}

/// What was agreed upon, by its name on the wire, and the stream from there on.
async fn agree(
    io: End,
    served: &[String],
) -> Result<(String, impl AsyncRead + AsyncWrite + Unpin), NegotiationError> {
    let mut arrival = Arrival::new(io);
    loop {
        match poll_fn(|cx| arrival.poll_proposal(cx)).await? {
            Proposal::Handler if served.iter().any(|name| name == arrival.name()) => {
                let name = arrival.name().to_owned();
                return Ok((name, Either::Left(arrival.accept())));
            }
            Proposal::Handler => arrival.refuse(),
            Proposal::Other => {
                let others: Vec<String> = served.iter().filter(|name| !is_handler(name)).cloned().collect();
                let (name, io) = listener_select_proto(arrival.hand_on(), all_inside(&others)).await?;
                let name = others.into_iter().find(|other| inside(other) == name);
                return Ok((name.expect("one of those that are served"), Either::Right(io)));
            }
        }
    }
}

#[test]
fn stock_dials_it() {
    let (mut agreed, mut refused) = (0, 0);
    for seed in 1..2000 {
        let mut rng = Rng::new(seed);
        let version = version(&mut rng);
        let (mut dial, listen) = (names(&mut rng), names(&mut rng));
        // After one of libp2p's protocols a handler is not found.
        dial.sort_by_key(|name| !is_handler(name));
        let winner = dial.iter().find(|name| listen.contains(name)).cloned();
        let (ping, pong) = (data(&mut rng, 300), data(&mut rng, 300));
        let least = if version == Version::V1 { 24 } else { 24_000 };
        let (a, b) = pipe_of(seed, true, least);
        let from_listener = b.tx.clone();
        let dialer = async {
            let (name, io) = dialer_select_proto(BareStream::dialer(a), all_inside(&dial), version).await?;
            talk_first(io, &ping, &pong).await?;
            Ok::<_, NegotiationError>(name)
        };
        let listener = async {
            let (name, io) = agree(b, &listen).await?;
            listen_first(io, &pong, &ping).await?;
            Ok::<_, NegotiationError>(name)
        };
        let (dialed, listened) = run(async { futures::join!(dialer, listener) });
        let Some(winner) = winner else {
            assert!(dialed.is_err() && listened.is_err(), "seed {seed}: {dialed:?} {listened:?}");
            refused += 1;
            continue;
        };
        assert_eq!(dialed.unwrap(), inside(&winner), "seed {seed}");
        assert_eq!(listened.unwrap(), winner, "seed {seed}");
        let mut answered = frame(MULTISTREAM);
        for _ in dial.iter().take_while(|name| **name != winner) {
            answered.extend(frame(b"na"));
        }
        answered.extend([frame(winner.as_bytes()), pong].concat());
        assert!(from_listener.lock().unwrap().log == answered, "seed {seed}: the listener's bytes");
        agreed += 1;
    }
    assert!(agreed > 250 && refused > 250, "agreed {agreed}, refused {refused}");
}

/// A Go dialer waits for each answer, or is lazy: header, proposal and data in one write.
#[test]
fn go_dials_it() {
    for seed in 1..2000 {
        let mut rng = Rng::new(seed);
        let lazy = rng.below(2) == 0;
        let misses_first = !lazy && rng.below(3) == 0;
        let listen = names(&mut rng);
        let name = listen[rng.below(listen.len())].clone();
        let (ping, pong) = (data(&mut rng, 300), data(&mut rng, 300));
        let (mut a, b) = pipe(seed, rng.below(4) != 0);
        let dialer = async {
            let manner = if lazy { Manner::Lazy } else { Manner::Patient { list: None, misses_first } };
            go_dialer(&mut a, &name, manner, &ping, &pong).await;
        };
        let listener = async {
            let (got, io) = agree(b, &listen).await.unwrap();
            assert_eq!(got, name);
            listen_first(io, &pong, &ping).await.unwrap();
        };
        run(async { futures::join!(dialer, listener) });
    }
}

#[test]
fn what_is_malformed_is_the_stock_codes() {
    let cases: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        vec![5, b'a'],
        vec![0xff, 0xff, 0xff, 1, 2, 3],
        frame(b"GET / HTTP/1.1"),
        frame(b"hello"),
        [frame(MULTISTREAM), vec![0x80]].concat(),
        [frame(MULTISTREAM), vec![3, b'a', b'b', b'c']].concat(),
        [frame(MULTISTREAM), frame(&[0xff, 0xfe])].concat(),
        [frame(MULTISTREAM), frame(b"na"), frame(b"hello")].concat(),
        [frame(MULTISTREAM), frame(&vec![b'x'; 16380])].concat(),
        [frame(MULTISTREAM), frame(b"no.such"), vec![9, 9, 9]].concat(),
    ];
    for (index, case) in cases.iter().enumerate() {
        for seed in 1..50 {
            let (mut a, b) = pipe(seed, index != 10);
            let feed = async {
                a.write_all(case).await.unwrap();
                a.close().await.unwrap();
                let _ = a.read_to_end(&mut Vec::new()).await;
            };
            let served = ["hello".to_owned()];
            let listener = async { agree(b, &served).await.map(drop) };
            let ((), outcome) = run(async { futures::join!(feed, listener) });
            assert!(outcome.is_err(), "case {index}");
        }
    }
}

/// Header, confirmation and answer are one write, if the request has come with the proposal.
#[test]
fn a_lazy_dialer_is_answered_in_one_piece() {
    run(async {
        let (mut a, b) = pipe(3, false);
        let from_listener = b.tx.clone();
        let dialer = async {
            a.write_all(&[frame(MULTISTREAM), frame(b"hello"), b"ping".to_vec()].concat()).await.unwrap();
            read_frame(&mut a).await.unwrap();
            read_frame(&mut a).await.unwrap();
            a.read_exact(&mut [0; 4]).await.unwrap();
        };
        let served = ["hello".to_owned()];
        let listener = async {
            let (_, mut io) = agree(b, &served).await.unwrap();
            io.read_exact(&mut [0; 4]).await.unwrap();
            io.write_all(b"pong").await.unwrap();
            io.flush().await.unwrap();
            assert_eq!(from_listener.lock().unwrap().writes, 1);
        };
        futures::join!(dialer, listener);
    });
}

/// A length that could be shorter is confirmed in its shortest form, as the stock code does.
#[test]
fn a_confirmation_is_ours_to_write() {
    run(async {
        let (mut a, b) = pipe(3, false);
        let dialer = async {
            a.write_all(&[frame(MULTISTREAM), b"\x86\x00hello\n".to_vec()].concat()).await.unwrap();
            let mut answer = vec![0; frame(MULTISTREAM).len() + 7];
            a.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, [frame(MULTISTREAM), b"\x06hello\n".to_vec()].concat());
        };
        let served = ["hello".to_owned()];
        let listener = async {
            let (_, mut io) = agree(b, &served).await.unwrap();
            io.close().await.unwrap();
        };
        futures::join!(dialer, listener);
    });
}
