//! The wrapper against the real multistream-select and against a Go-like peer.

mod arrivals;
mod peers;
mod pipe;

use futures::{AsyncReadExt, AsyncWriteExt};
use multistream_select::{NegotiationError, Version, dialer_select_proto, listener_select_proto};

use super::{BareStream, HandlerName, MAX_NAME_BYTES, NameError, to_inside, to_wire};
use peers::{
    MULTISTREAM, Manner, Watched, data, frame, go_dialer, go_listener, listen_first, names, read_frame, run,
    talk_first,
};
use pipe::{Rng, pipe, pipe_of};

fn inside(wire: &str) -> String {
    String::from_utf8(to_inside(wire.as_bytes()).into_owned()).unwrap()
}

fn all_inside(wire: &[String]) -> Vec<String> {
    wire.iter().map(|name| inside(name)).collect()
}

fn version(rng: &mut Rng) -> Version {
    if rng.below(2) == 0 { Version::V1 } else { Version::V1Lazy }
}

#[test]
fn names_map_one_to_one() {
    for (wire, within) in [
        ("DHTProtocol.rpc_ping", "/bare/DHTProtocol.rpc_ping"),
        ("/ipfs/id/1.0.0", "/ipfs/id/1.0.0"),
        ("/bare/x", "/bare//bare/x"),
        ("/bare", "/bare"),
        ("/", "/"),
    ] {
        assert_eq!(inside(wire), within);
        assert_eq!(&*to_wire(within.as_bytes()), wire.as_bytes());
    }
}

#[test]
fn handler_names_are_checked() {
    let name = HandlerName::new("swarm::DHTProtocol.rpc_ping").unwrap();
    assert_eq!(name.as_str(), "swarm::DHTProtocol.rpc_ping");
    assert_eq!(name.protocol().as_ref(), "/bare/swarm::DHTProtocol.rpc_ping");
    assert_eq!(HandlerName::new(""), Err(NameError::Empty));
    assert_eq!(HandlerName::new("na"), Err(NameError::Command("na".into())));
    assert_eq!(HandlerName::new("ls"), Err(NameError::Command("ls".into())));
    assert_eq!(HandlerName::new("a\nb"), Err(NameError::LineFeed("a\nb".into())));
    assert_eq!(HandlerName::new("/a"), Err(NameError::Slash("/a".into())));
    assert!(HandlerName::new(&"x".repeat(MAX_NAME_BYTES)).is_ok());
    assert_eq!(
        HandlerName::new(&"x".repeat(MAX_NAME_BYTES + 1)),
        Err(NameError::TooLong(MAX_NAME_BYTES + 1))
    );
}

/// Both ends are stock code on the wrapper; the bytes between them are what Go would write.
#[test]
fn stock_dials_stock() {
    let (mut agreed, mut refused) = (0, 0);
    for seed in 1..2000 {
        let mut rng = Rng::new(seed);
        let version = version(&mut rng);
        let (dial, listen) = (names(&mut rng), names(&mut rng));
        let winner = dial.iter().find(|name| listen.contains(name)).cloned();
        let most = if seed % 50 == 0 { 200_000 } else { 300 };
        let (ping, pong) = (data(&mut rng, most), data(&mut rng, most));
        // Without lazy data nobody writes while the other side still writes: the pipe may be tiny.
        let least = if version == Version::V1 { 24 } else { 24_000 };
        let (a, b) = pipe_of(seed, most < 1000, least);
        let (from_dialer, from_listener) = (a.tx.clone(), b.tx.clone());
        let dialer = async {
            let (name, io) = dialer_select_proto(BareStream::dialer(a), all_inside(&dial), version).await?;
            talk_first(io, &ping, &pong).await?;
            Ok::<_, NegotiationError>(name)
        };
        let listener = async {
            let (name, io) = listener_select_proto(BareStream::listener(b), all_inside(&listen)).await?;
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
        assert_eq!(listened.unwrap(), inside(&winner), "seed {seed}");
        let mut sent = frame(MULTISTREAM);
        let mut answered = frame(MULTISTREAM);
        for name in dial.iter().take_while(|name| **name != winner) {
            sent.extend(frame(name.as_bytes()));
            answered.extend(frame(b"na"));
        }
        sent.extend([frame(winner.as_bytes()), ping].concat());
        answered.extend([frame(winner.as_bytes()), pong].concat());
        assert!(from_dialer.lock().unwrap().log == sent, "seed {seed}: the dialer's bytes");
        assert!(from_listener.lock().unwrap().log == answered, "seed {seed}: the listener's bytes");
        agreed += 1;
    }
    assert!(agreed > 250 && refused > 250, "agreed {agreed}, refused {refused}");
}

#[test]
fn stock_dials_go() {
    for seed in 1..2000 {
        let mut rng = Rng::new(seed);
        let version = version(&mut rng);
        let (dial, listen) = (names(&mut rng), names(&mut rng));
        let winner = dial.iter().find(|name| listen.contains(name)).cloned();
        if winner.is_none() && version == Version::V1Lazy {
            continue; // Go reads the data as frames then: see `a_lazy_dialer_is_refused`.
        }
        let (ping, pong) = (data(&mut rng, 300), data(&mut rng, 300));
        let (a, mut b) = pipe(seed, true);
        let dialer = async {
            let (name, io) = dialer_select_proto(BareStream::dialer(a), all_inside(&dial), version).await?;
            talk_first(io, &ping, &pong).await?;
            Ok::<_, NegotiationError>(name)
        };
        let listener = async {
            let name = go_listener(&mut b, &listen).await.ok();
            if name.is_some() {
                listen_first(&mut b, &pong, &ping).await.unwrap();
            }
            drop(b);
            name
        };
        let (dialed, listened) = run(async { futures::join!(dialer, listener) });
        match winner {
            Some(winner) => {
                assert_eq!(dialed.unwrap(), inside(&winner), "seed {seed}");
                assert_eq!(listened, Some(winner), "seed {seed}");
            }
            None => assert!(matches!(dialed, Err(NegotiationError::Failed)), "seed {seed}: {dialed:?}"),
        }
    }
}

/// A Go dialer waits for each answer, or is lazy: header, proposal and data in one write.
#[test]
fn go_dials_stock() {
    for seed in 1..2000 {
        let mut rng = Rng::new(seed);
        let lazy = rng.below(2) == 0;
        let listen = names(&mut rng);
        let name = listen[rng.below(listen.len())].clone();
        let asks_for_list = !lazy && rng.below(4) == 0;
        let misses_first = !lazy && rng.below(3) == 0;
        let (ping, pong) = (data(&mut rng, 300), data(&mut rng, 300));
        let (mut a, b) = pipe(seed, rng.below(4) != 0);
        let dialer = async {
            let list = asks_for_list.then_some(&listen[..]);
            let manner = if lazy { Manner::Lazy } else { Manner::Patient { list, misses_first } };
            go_dialer(&mut a, &name, manner, &ping, &pong).await;
        };
        let listener = async {
            let (got, io) =
                listener_select_proto(BareStream::listener(b), all_inside(&listen)).await.unwrap();
            assert_eq!(got, inside(&name));
            listen_first(io, &pong, &ping).await.unwrap();
        };
        run(async { futures::join!(dialer, listener) });
    }
}

/// A lazy dialer's data reaches the refusing peer untouched, and the dialer learns of the refusal.
#[test]
fn a_lazy_dialer_is_refused() {
    for seed in 1..500 {
        let (a, mut b) = pipe(seed, true);
        let dialer = async {
            let dial = [inside("no.such")];
            let (_, mut io) =
                dialer_select_proto(BareStream::dialer(a), dial, Version::V1Lazy).await.unwrap();
            io.write_all(b"early data").await.unwrap();
            io.flush().await.unwrap();
            io.complete().await.map(drop).unwrap_err()
        };
        let listener = async {
            assert_eq!(read_frame(&mut b).await.unwrap(), MULTISTREAM);
            assert_eq!(read_frame(&mut b).await.unwrap(), b"no.such");
            b.write_all(&[frame(MULTISTREAM), frame(b"na")].concat()).await.unwrap();
            let mut rest = [0; 10];
            b.read_exact(&mut rest).await.unwrap();
            assert_eq!(&rest, b"early data");
        };
        let (error, ()) = run(async { futures::join!(dialer, listener) });
        assert!(matches!(error, NegotiationError::Failed), "{error:?}");
    }
}

/// Garbage, and a stream that ends within a frame, reach the stock code and end in its own errors.
#[test]
fn malformed_input_is_refused() {
    let cases: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        vec![5, b'a'],
        vec![0xff, 0xff, 0xff, 1, 2, 3],
        frame(b"GET / HTTP/1.1"),
        [frame(MULTISTREAM), vec![0x80]].concat(),
        [frame(MULTISTREAM), vec![3, b'a', b'b', b'c']].concat(),
        [frame(MULTISTREAM), frame(b"no.such"), vec![9, 9, 9]].concat(),
        [frame(MULTISTREAM), frame(&vec![b'x'; 16380])].concat(),
        [frame(MULTISTREAM), frame(&[frame(b"a"), vec![200, 1]].concat())].concat(),
    ];
    for (index, case) in cases.iter().enumerate() {
        for seed in 1..50 {
            let (mut a, b) = pipe(seed, index != 8);
            let feed = async {
                a.write_all(case).await.unwrap();
                a.close().await.unwrap();
                let mut sink = Vec::new();
                let _ = a.read_to_end(&mut sink).await;
            };
            let listener =
                async { listener_select_proto(BareStream::listener(b), ["/bare/hello"]).await.map(drop) };
            let ((), outcome) = run(async { futures::join!(feed, listener) });
            assert!(outcome.is_err(), "case {index}");
        }
    }
}

/// Whatever bytes come, on either side, the wrapper holds a few frames at most.
#[test]
fn what_it_holds_is_bounded() {
    /// Two frames in each direction, and what the renaming of an `ls` answer may add to one.
    const BOUND: usize = 128 * 1024;
    /// `cargo test --release` has the time for more.
    const SEEDS: u64 = if cfg!(debug_assertions) { 100 } else { 1000 };
    for seed in 1..=SEEDS {
        let mut rng = Rng::new(seed);
        let mut noise = frame(MULTISTREAM);
        while noise.len() < 200_000 {
            match rng.below(5) {
                0 => noise.extend(frame(b"no.such")),
                1 => noise.extend(frame(b"ls")),
                2 => noise.extend(frame(&[1, b'\n'].repeat(rng.below(8000)))),
                3 => noise.extend((0..rng.below(3)).map(|_| b'\n')),
                _ => noise.extend(frame(&vec![b'x'; rng.below(16_000)])),
            }
        }
        let (mut a, b) = pipe(seed, false);
        let feed = async {
            let _ = a.write_all(&noise).await;
            let _ = a.close().await;
            let _ = a.read_to_end(&mut Vec::new()).await;
        };
        let lists = seed % 2 == 0;
        let io = if lists { BareStream::dialer(b) } else { BareStream::listener(b) };
        let mut io = Watched { io, most: 0 };
        let reader = async move {
            if lists {
                let _ = dialer_select_proto(&mut io, ["/bare/hello"], Version::V1).await.map(drop);
                // A reader of its own, since the stock dialer stops at the first odd frame.
                let _ = io.read_to_end(&mut Vec::new()).await;
            } else {
                let _ = listener_select_proto(&mut io, ["/bare/hello"]).await.map(drop);
            }
            io.most
        };
        let most = run(async { futures::join!(feed, reader) }).1;
        assert!(most < BOUND, "seed {seed}: {most} bytes held");
    }
}

/// After the handshake nothing is left of the wrapper.
#[test]
fn it_becomes_transparent() {
    for version in [Version::V1, Version::V1Lazy] {
        run(async {
            let (a, b) = pipe(3, false);
            let (mut a, mut b) = (BareStream::dialer(a), BareStream::listener(b));
            let dialer = async {
                let (_, mut io) = dialer_select_proto(&mut a, ["/bare/hello"], version).await.unwrap();
                io.write_all(b"ping").await.unwrap();
                io.flush().await.unwrap();
                io.read_exact(&mut [0; 4]).await.unwrap();
            };
            let listener = async {
                let (_, mut io) = listener_select_proto(&mut b, ["/bare/hello"]).await.unwrap();
                io.read_exact(&mut [0; 4]).await.unwrap();
                io.write_all(b"pong").await.unwrap();
                io.flush().await.unwrap();
            };
            futures::join!(dialer, listener);
            assert!(a.is_transparent() && b.is_transparent());
        });
    }
}

/// What belongs together is one write: of a lazy dialer header, proposal and request, of its listener
/// header, confirmation and answer. Each write is a frame of its own further down.
#[test]
fn handshakes_are_written_in_one_piece() {
    run(async {
        let (a, b) = pipe(3, false);
        let (from_dialer, from_listener) = (a.tx.clone(), b.tx.clone());
        let dialer = async {
            let io = BareStream::dialer(a);
            let (_, mut io) = dialer_select_proto(io, ["/bare/hello"], Version::V1Lazy).await.unwrap();
            io.write_all(b"ping").await.unwrap();
            io.flush().await.unwrap();
            assert_eq!(from_dialer.lock().unwrap().writes, 1);
            io.read_exact(&mut [0; 4]).await.unwrap();
        };
        let listener = async {
            let io = BareStream::listener(b);
            let (_, mut io) = listener_select_proto(io, ["/bare/hello"]).await.unwrap();
            io.read_exact(&mut [0; 4]).await.unwrap();
            io.write_all(b"pong").await.unwrap();
            io.flush().await.unwrap();
            assert_eq!(from_listener.lock().unwrap().writes, 1);
        };
        futures::join!(dialer, listener);
    });
}

/// A listener that reads on, and has nothing to say yet, confirms: nobody knows what the dialer waits for.
#[test]
fn a_confirmation_does_not_wait_for_an_answer_that_is_to_come() {
    for seed in 1..200 {
        let (mut a, b) = pipe(seed, true);
        let dialer = async {
            a.write_all(&[frame(MULTISTREAM), frame(b"hello"), b"ping".to_vec()].concat()).await.unwrap();
            assert_eq!(read_frame(&mut a).await.unwrap(), MULTISTREAM);
            assert_eq!(read_frame(&mut a).await.unwrap(), b"hello");
            a.write_all(b"more").await.unwrap();
            let mut answer = [0; 4];
            a.read_exact(&mut answer).await.unwrap();
            answer
        };
        let listener = async {
            let io = BareStream::listener(b);
            let (_, mut io) = listener_select_proto(io, ["/bare/hello"]).await.unwrap();
            io.read_exact(&mut [0; 8]).await.unwrap();
            io.write_all(b"pong").await.unwrap();
            io.flush().await.unwrap();
        };
        let (answer, ()) = run(async { futures::join!(dialer, listener) });
        assert_eq!(&answer, b"pong");
    }
}

/// A dialer that waits for our header before it proposes anything gets it.
#[test]
fn a_header_does_not_wait_for_a_proposal_that_is_to_come() {
    for seed in 1..200 {
        let (mut a, b) = pipe(seed, true);
        let dialer = async {
            a.write_all(&frame(MULTISTREAM)).await.unwrap();
            assert_eq!(read_frame(&mut a).await.unwrap(), MULTISTREAM);
            let proposal = frame(b"hello");
            let (first, rest) = proposal.split_at(seed as usize % proposal.len());
            a.write_all(first).await.unwrap();
            tokio::task::yield_now().await;
            a.write_all(rest).await.unwrap();
            assert_eq!(read_frame(&mut a).await.unwrap(), b"hello");
        };
        let listener = listener_select_proto(BareStream::listener(b), ["/bare/hello"]);
        let ((), agreed) = run(async { futures::join!(dialer, listener) });
        assert!(agreed.is_ok());
    }
}
