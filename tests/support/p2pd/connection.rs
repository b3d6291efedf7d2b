//! p2pd's persistent connection: unary calls in both directions over one socket, told apart by their call ids.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use libp2p::PeerId;
use tokio::{
    io::AsyncWriteExt,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot},
};

use super::{
    exchange,
    messages::{
        AddUnaryHandler, CallUnary, Empty, FromDaemon, FromDaemonMessage, Request, ToDaemon, ToDaemonMessage,
        UnaryResponse, UnaryResult, request,
    },
    read,
};
use crate::support::deadline::within;

/// A call of 3.9 MiB, with 199 others before it, on a slow machine.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// Answers a request's data; `None` never answers.
pub(crate) type Handler = Arc<dyn Fn(Vec<u8>) -> Option<Result<Vec<u8>, String>> + Send + Sync>;

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CallFailed {
    /// The handler answered with this error text.
    Handler(String),
    /// p2pd could not do the call.
    Daemon(String),
}

/// Calls that wait for p2pd's answer.
type Waiting = Mutex<HashMap<Vec<u8>, oneshot::Sender<Option<FromDaemonMessage>>>>;

#[derive(Default)]
struct Shared {
    waiting: Waiting,
    handlers: Mutex<HashMap<String, Handler>>,
    cancelled: AtomicUsize,
    calls: AtomicU64,
}

pub(crate) struct Connection {
    shared: Arc<Shared>,
    writer: mpsc::UnboundedSender<ToDaemon>,
}

impl Connection {
    pub(crate) async fn open(socket: &Path) -> Connection {
        let mut stream = UnixStream::connect(socket).await.unwrap();
        let upgrade = Request { kind: request::PERSISTENT_CONN_UPGRADE, ..Default::default() };
        exchange(&mut stream, &upgrade).await.unwrap();
        let (reading, writing) = stream.into_split();
        let (writer, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        tokio::spawn(write_all(writing, queue));
        tokio::spawn(read_all(reading, shared.clone(), writer.clone()));
        Connection { shared, writer }
    }

    fn send(&self, call_id: Vec<u8>, message: ToDaemonMessage) {
        self.writer
            .send(ToDaemon { call_id, message: Some(message) })
            .expect("the writer lives as long as p2pd");
    }

    /// 16 bytes, as a UUID has.
    fn new_call_id(&self) -> Vec<u8> {
        let number = self.shared.calls.fetch_add(1, Ordering::Relaxed);
        [[7; 8], number.to_be_bytes()].concat()
    }

    async fn ask(&self, message: ToDaemonMessage) -> Option<FromDaemonMessage> {
        let call_id = self.new_call_id();
        let (sender, answer) = oneshot::channel();
        self.shared.waiting.lock().unwrap().insert(call_id.clone(), sender);
        self.send(call_id, message);
        within(CALL_LIMIT, "p2pd answers a call", answer).await.expect("p2pd keeps its connection")
    }

    pub(crate) async fn serve(&self, proto: &str, handler: Handler) {
        self.shared.handlers.lock().unwrap().insert(proto.to_owned(), handler);
        let add = AddUnaryHandler { proto: proto.to_owned(), balanced: false };
        let refused = self.ask(ToDaemonMessage::AddUnaryHandler(add)).await;
        assert!(refused.is_none(), "{refused:?}");
    }

    pub(crate) async fn call(&self, peer: PeerId, proto: &str, data: Vec<u8>) -> Result<Vec<u8>, CallFailed> {
        let call = CallUnary { peer: peer.to_bytes(), proto: proto.to_owned(), data };
        match self.ask(ToDaemonMessage::CallUnary(call)).await {
            Some(FromDaemonMessage::UnaryResponse(UnaryResponse { result: Some(result) })) => match result {
                UnaryResult::Response(data) => Ok(data),
                UnaryResult::Error(text) => {
                    Err(CallFailed::Handler(String::from_utf8_lossy(&text).into_owned()))
                }
            },
            Some(FromDaemonMessage::DaemonError(error)) => {
                Err(CallFailed::Daemon(error.message.unwrap_or_default()))
            }
            other => panic!("p2pd answers a call with {other:?}"),
        }
    }

    pub(crate) fn begin_call(&self, peer: PeerId, proto: &str) -> Vec<u8> {
        let call_id = self.new_call_id();
        let call = CallUnary { peer: peer.to_bytes(), proto: proto.to_owned(), data: vec![] };
        self.send(call_id.clone(), ToDaemonMessage::CallUnary(call));
        call_id
    }

    pub(crate) fn cancel(&self, call_id: Vec<u8>) {
        self.send(call_id, ToDaemonMessage::Cancel(Empty {}));
    }

    pub(crate) fn cancelled(&self) -> usize {
        self.shared.cancelled.load(Ordering::SeqCst)
    }
}

async fn write_all(mut stream: OwnedWriteHalf, mut queue: mpsc::UnboundedReceiver<ToDaemon>) {
    use prost::Message;
    while let Some(message) = queue.recv().await {
        if stream.write_all(&message.encode_length_delimited_to_vec()).await.is_err() {
            return;
        }
    }
}

async fn read_all(mut stream: OwnedReadHalf, shared: Arc<Shared>, writer: mpsc::UnboundedSender<ToDaemon>) {
    while let Ok(FromDaemon { call_id, message }) = read(&mut stream).await {
        match message {
            Some(FromDaemonMessage::RequestHandling(call)) => {
                let handler = shared.handlers.lock().unwrap().get(&call.proto).cloned();
                let Some(answer) = handler.and_then(|handler| handler(call.data)) else { continue };
                let result = match answer {
                    Ok(data) => UnaryResult::Response(data),
                    Err(text) => UnaryResult::Error(text.into_bytes()),
                };
                let message = ToDaemonMessage::UnaryResponse(UnaryResponse { result: Some(result) });
                // Fails when the test has ended.
                let _ = writer.send(ToDaemon { call_id, message: Some(message) });
            }
            Some(FromDaemonMessage::Cancel(_)) => {
                shared.cancelled.fetch_add(1, Ordering::SeqCst);
            }
            answer => {
                if let Some(caller) = shared.waiting.lock().unwrap().remove(&call_id) {
                    let _ = caller.send(answer);
                }
            }
        }
    }
}
