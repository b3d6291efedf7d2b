//! p2pd's control socket: the messages of `p2pd.proto` (learning-at-home/go-libp2p-daemon) that the driver needs.
//!
//! They are written here by hand, apart from the product's own, so that a mistake there is not made here as well.

use prost::{Message, Oneof};

/// `Request.type`.
pub(crate) mod request {
    pub(crate) const IDENTIFY: i32 = 0;
    pub(crate) const CONNECT: i32 = 1;
    pub(crate) const STREAM_OPEN: i32 = 2;
    pub(crate) const DHT: i32 = 4;
    pub(crate) const LIST_PEERS: i32 = 5;
    pub(crate) const PERSISTENT_CONN_UPGRADE: i32 = 9;
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Request {
    #[prost(int32, required, tag = "1")]
    pub(crate) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) connect: Option<ConnectRequest>,
    #[prost(message, optional, tag = "3")]
    pub(crate) stream_open: Option<StreamOpenRequest>,
    #[prost(message, optional, tag = "5")]
    pub(crate) dht: Option<DhtRequest>,
}

/// `DHTRequest.type` and `DHTResponse.type`.
pub(crate) mod dht {
    pub(crate) const FIND_PEER: i32 = 0;
    pub(crate) const FIND_PROVIDERS: i32 = 2;
    pub(crate) const END: i32 = 2;
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DhtRequest {
    #[prost(int32, required, tag = "1")]
    pub(crate) kind: i32,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(crate) peer: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub(crate) cid: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "6")]
    pub(crate) count: Option<i32>,
    /// Seconds.
    #[prost(int64, optional, tag = "7")]
    pub(crate) timeout: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DhtResponse {
    #[prost(int32, required, tag = "1")]
    pub(crate) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) peer: Option<PeerInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Response {
    /// 0 OK, 1 error.
    #[prost(int32, required, tag = "1")]
    pub(crate) kind: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) error: Option<ErrorResponse>,
    #[prost(message, optional, tag = "3")]
    pub(crate) stream_info: Option<StreamInfo>,
    #[prost(message, optional, tag = "4")]
    pub(crate) identify: Option<IdentifyResponse>,
    #[prost(message, optional, tag = "5")]
    pub(crate) dht: Option<DhtResponse>,
    #[prost(message, repeated, tag = "6")]
    pub(crate) peers: Vec<PeerInfo>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ErrorResponse {
    #[prost(string, required, tag = "1")]
    pub(crate) msg: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct IdentifyResponse {
    #[prost(bytes = "vec", required, tag = "1")]
    pub(crate) id: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) addrs: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ConnectRequest {
    #[prost(bytes = "vec", required, tag = "1")]
    pub(crate) peer: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) addrs: Vec<Vec<u8>>,
    /// Seconds.
    #[prost(int64, optional, tag = "3")]
    pub(crate) timeout: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StreamOpenRequest {
    #[prost(bytes = "vec", required, tag = "1")]
    pub(crate) peer: Vec<u8>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) proto: Vec<String>,
    /// Seconds.
    #[prost(int64, optional, tag = "3")]
    pub(crate) timeout: Option<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StreamInfo {
    #[prost(bytes = "vec", required, tag = "1")]
    pub(crate) peer: Vec<u8>,
    #[prost(bytes = "vec", required, tag = "2")]
    pub(crate) addr: Vec<u8>,
    #[prost(string, required, tag = "3")]
    pub(crate) proto: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct PeerInfo {
    #[prost(bytes = "vec", required, tag = "1")]
    pub(crate) id: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) addrs: Vec<Vec<u8>>,
}

/// What the client writes on an upgraded connection.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ToDaemon {
    #[prost(bytes = "vec", required, tag = "1")]
    pub(crate) call_id: Vec<u8>,
    #[prost(oneof = "ToDaemonMessage", tags = "2, 3, 4, 5")]
    pub(crate) message: Option<ToDaemonMessage>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum ToDaemonMessage {
    #[prost(message, tag = "2")]
    AddUnaryHandler(AddUnaryHandler),
    #[prost(message, tag = "3")]
    CallUnary(CallUnary),
    #[prost(message, tag = "4")]
    UnaryResponse(UnaryResponse),
    #[prost(message, tag = "5")]
    Cancel(Empty),
}

/// What the daemon writes on an upgraded connection.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct FromDaemon {
    #[prost(bytes = "vec", required, tag = "1")]
    pub(crate) call_id: Vec<u8>,
    #[prost(oneof = "FromDaemonMessage", tags = "2, 3, 4, 5")]
    pub(crate) message: Option<FromDaemonMessage>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum FromDaemonMessage {
    #[prost(message, tag = "2")]
    UnaryResponse(UnaryResponse),
    #[prost(message, tag = "3")]
    RequestHandling(CallUnary),
    #[prost(message, tag = "4")]
    DaemonError(DaemonError),
    #[prost(message, tag = "5")]
    Cancel(Empty),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CallUnary {
    #[prost(bytes = "vec", required, tag = "1")]
    pub(crate) peer: Vec<u8>,
    #[prost(string, required, tag = "2")]
    pub(crate) proto: String,
    #[prost(bytes = "vec", required, tag = "3")]
    pub(crate) data: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct UnaryResponse {
    #[prost(oneof = "UnaryResult", tags = "1, 2")]
    pub(crate) result: Option<UnaryResult>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum UnaryResult {
    #[prost(bytes = "vec", tag = "1")]
    Response(Vec<u8>),
    #[prost(bytes = "vec", tag = "2")]
    Error(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AddUnaryHandler {
    #[prost(string, required, tag = "1")]
    pub(crate) proto: String,
    #[prost(bool, required, tag = "2")]
    pub(crate) balanced: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DaemonError {
    #[prost(string, optional, tag = "1")]
    pub(crate) message: Option<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Empty {}
