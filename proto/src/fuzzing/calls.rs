//! The three calls of the DHT.

use crate::dht::{
    DhtId, FIND_HANDLER, PING_HANDLER, Request, Response, Row, STORE_HANDLER,
    wire::{MAX_KEYS_PER_FIND, MAX_NEIGHBOURS, MAX_ROWS_PER_STORE},
};

/// Requests to each of the handlers: bounded, and written in a form that is read alike.
pub fn requests(bytes: &[u8]) {
    for handler in [PING_HANDLER, STORE_HANDLER, FIND_HANDLER] {
        let Ok(request) = Request::decode(handler, bytes) else { continue };
        match &request {
            Request::Ping { .. } => {}
            Request::Store { rows, .. } => assert!(rows.len() <= MAX_ROWS_PER_STORE),
            Request::Find { keys, .. } => assert!(keys.len() <= MAX_KEYS_PER_FIND),
        }
        assert_eq!(request.handler(), handler);
        // NaN is no obstacle to comparing bytes.
        let written = request.encode();
        assert_eq!(Request::decode(handler, &written).map(|again| again.encode()), Ok(written));
    }
}

/// Answers to a ping, and to stores and finds of as many rows and keys as the first byte says: bounded, and fit for
/// what was asked.
pub fn answers(bytes: &[u8]) {
    let Some((count, bytes)) = bytes.split_first() else { return };
    let count = usize::from(*count);
    let row = Row { key: vec![], tag: vec![], value: [].into(), expiration: 0.0, in_cache: false };
    let asked = [
        Request::Ping { sender: None, validate: true },
        Request::Store { sender: None, rows: vec![row; count] },
        Request::Find { sender: None, keys: vec![DhtId::of_text("key"); count] },
    ];
    for request in asked {
        let Ok(response) = Response::decode(&request, bytes) else { continue };
        match &response {
            Response::Ping { time, .. } => assert!(time.is_none_or(|time| time.as_unix().is_finite())),
            Response::Store { stored, .. } => assert_eq!(stored.len(), count),
            Response::Find { results, .. } => {
                assert_eq!(results.len(), count);
                assert!(results.iter().all(|result| result.neighbours.len() <= MAX_NEIGHBOURS));
            }
        }
        let written = response.encode();
        let again = Response::decode(&request, &written).map(Response::encode);
        assert_eq!(again.as_ref(), Ok(&written));
    }
}
