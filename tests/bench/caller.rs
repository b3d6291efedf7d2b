//! Who calls: a swarm with one connection, and as many calls in flight as a benchmark wants.

use std::time::{Duration, Instant};

use futures::{StreamExt, channel::oneshot};
use hivemind_proto::{
    bare_name::HandlerName,
    unary::{self, CallError, OutboundCall},
};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    noise, ping,
    swarm::{self, NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use tokio::{sync::mpsc, task::JoinHandle};

/// Streams of one connection, and those that may be negotiated at once: as petald's.
const STREAMS: usize = 4096;
const NEGOTIATING_STREAMS: usize = 1024;
/// Longer than any benchmark.
const IDLE: Duration = Duration::from_secs(3600);
const CALL_DEADLINE: Duration = Duration::from_secs(20);
/// Calls on their way to the swarm.
const QUEUE: usize = 4096;

/// What hivemind's handlers are called with: bare names.
pub(crate) type Named = (unary::Settings, unary::Registry);

/// TCP, noise and yamux as they come; with bare names, hivemind's handlers can be called.
pub(crate) fn transport(key: &Keypair, named: Option<Named>) -> Boxed<(PeerId, StreamMuxerBox)> {
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(STREAMS);
    tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).unwrap())
        .multiplex(muxer)
        .map(move |(peer, muxer), _| match named.clone() {
            Some((settings, registry)) => {
                (peer, StreamMuxerBox::new(unary::Muxer::new(muxer, peer, settings, registry)))
            }
            None => (peer, StreamMuxerBox::new(muxer)),
        })
        .boxed()
}

pub(crate) fn config() -> swarm::Config {
    swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(IDLE)
        .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS)
        .with_substream_upgrade_protocol_override(Version::V1Lazy)
}

/// What hands a call to a connection.
pub(crate) trait Calls: NetworkBehaviour {
    fn call(&mut self, peer: PeerId, call: OutboundCall);
}

impl Calls for Handlers {
    fn call(&mut self, peer: PeerId, call: OutboundCall) {
        self.unary.call(peer, call);
    }
}

/// Calls hivemind's handlers, as petald calls others, and answers the pings of connections.
#[derive(NetworkBehaviour)]
pub(crate) struct Handlers {
    unary: unary::Behaviour,
    ping: ping::Behaviour,
}

pub(crate) fn of_handlers() -> (Handlers, Option<Named>) {
    let named: Named = (unary::Settings::default(), unary::Registry::new());
    let unary = unary::Behaviour::new(named.0.clone(), named.1.clone());
    (Handlers { unary, ping: ping::Behaviour::default() }, Some(named))
}

pub(crate) struct Caller {
    calls: mpsc::Sender<OutboundCall>,
    task: JoinHandle<()>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Caller {
    /// Connected to `callee`; its errors are those of dialing.
    pub(crate) async fn connect<B>(
        (behaviour, named): (B, Option<Named>),
        callee: PeerId,
        address: Multiaddr,
    ) -> Result<Self, String>
    where
        B: Calls + Send,
        B::ToSwarm: Send,
    {
        let key = Keypair::generate_ed25519();
        let mut swarm = Swarm::new(transport(&key, named), behaviour, key.public().to_peer_id(), config());
        swarm.dial(DialOpts::peer_id(callee).addresses(vec![address]).build()).map_err(|e| e.to_string())?;
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::ConnectionEstablished { .. } => break,
                SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error.to_string()),
                _ => {}
            }
        }
        let (calls, mut queue) = mpsc::channel::<OutboundCall>(QUEUE);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    call = queue.recv() => match call {
                        Some(call) => swarm.behaviour_mut().call(callee, call),
                        None => return,
                    },
                    _ = swarm.select_next_some() => {}
                }
            }
        });
        Ok(Self { calls, task })
    }

    pub(crate) async fn call(&self, handler: &HandlerName, data: Vec<u8>) -> Result<Vec<u8>, CallError> {
        let (reply, answer) = oneshot::channel();
        let call = OutboundCall { handler: handler.clone(), data, deadline: CALL_DEADLINE, reply };
        self.calls.send(call).await.map_err(|_| CallError::NotConnected)?;
        answer.await.unwrap_or(Err(CallError::ConnectionLost))
    }

    /// So many calls, so many of them in flight at once. `data` makes the data of each.
    pub(crate) async fn in_flight(
        &self,
        handler: &HandlerName,
        at_once: usize,
        count: usize,
        data: &dyn Fn() -> Vec<u8>,
    ) -> Run {
        let (run, left) = (std::cell::RefCell::new(Run::default()), std::cell::Cell::new(count));
        let begun = Instant::now();
        let worker = || async {
            while left.get() > 0 {
                left.set(left.get() - 1);
                let begun = Instant::now();
                let answer = self.call(handler, data()).await;
                run.borrow_mut().ended(begun.elapsed(), answer);
            }
        };
        futures::future::join_all((0..at_once).map(|_| worker())).await;
        let mut run = run.into_inner();
        run.took = begun.elapsed();
        run
    }

    /// As many calls a second for so long, whether the callee keeps up or not. Each millisecond's calls are made together.
    pub(crate) async fn paced(
        &self,
        handler: &HandlerName,
        a_second: f64,
        time: Duration,
        data: &dyn Fn() -> Vec<u8>,
    ) -> Run {
        let (mut run, begun) = (Run::default(), Instant::now());
        let mut under_way = futures::stream::FuturesUnordered::new();
        let mut tick = tokio::time::interval(Duration::from_millis(1));
        let mut made = 0;
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let elapsed = begun.elapsed();
                    if elapsed >= time {
                        break;
                    }
                    while (made as f64) < a_second * elapsed.as_secs_f64() {
                        made += 1;
                        let (begun, call) = (Instant::now(), self.call(handler, data()));
                        under_way.push(async move { (begun, call.await) });
                    }
                }
                Some((begun, answer)) = under_way.next() => run.ended(begun.elapsed(), answer),
            }
        }
        while let Some((begun, answer)) = under_way.next().await {
            run.ended(begun.elapsed(), answer);
        }
        run.took = begun.elapsed();
        run
    }
}

/// What came of many calls.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) took: Duration,
    pub(crate) latencies: Vec<Duration>,
    /// Those that brought no answer, and why the first of them did not.
    pub(crate) failed: usize,
    pub(crate) failure: Option<CallError>,
}

impl Run {
    fn ended(&mut self, took: Duration, answer: Result<Vec<u8>, CallError>) {
        match answer {
            Ok(_) => self.latencies.push(took),
            Err(error) => {
                self.failed += 1;
                self.failure.get_or_insert(error);
            }
        }
    }

    pub(crate) fn a_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    /// The latency below which this share of all calls lies.
    pub(crate) fn at(&mut self, share: f64) -> Duration {
        self.latencies.sort_unstable();
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share) as usize).copied().unwrap_or_default()
    }
}
