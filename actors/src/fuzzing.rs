//! What must hold of each parser, whatever comes. A fuzz target runs one of these functions on bytes that it chooses
//! (`fuzz/`), and a property test runs the same one on bytes at random and on what we have written, spoilt. Each
//! panics when its parser is wrong.

use libp2p::Multiaddr;

use crate::{admin, backend, bootstrap, durable, network, server_info};

/// What a sealed file of ours is called here.
const KIND: &str = "kind";

/// Files that we have written, and perhaps somebody else since: remembered peers, what was said about the server,
/// and the seal before both.
pub fn files(content: &[u8]) {
    bootstrap::known_peers::judge(content);
    server_info::page::judge(content);
    if let Ok(inside) = durable::unseal(KIND, 1, content) {
        assert_eq!(durable::seal(KIND, 1, inside), content);
    }
    assert_eq!(durable::unseal(KIND, 1, &durable::seal(KIND, 1, content)), Ok(content));
}

/// What the operator's programs ask for, and what a model server says.
pub fn requests(body: &[u8]) {
    admin::routes::server_info::judge(body);
    backend::figures::judge(body);
}

/// Addresses that others tell, in their binary form and as text.
pub fn addresses(bytes: &[u8]) {
    let text = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    for address in [Multiaddr::try_from(bytes.to_vec()).ok(), text].into_iter().flatten() {
        let public = network::is_public(&address);
        assert!(!public || !address.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::Index};

    /// What each of them is meant for.
    const WELL_FORMED: [&str; 6] = [
        r#"[{"peer": "12D3KooWCLmQZ4BKSQne7hYU6Md9KjcgWATeD8shnzsR79TZifGW", "addresses": ["/ip4/192.0.2.1/tcp/1"],
            "last_success": 1795370000.5}]"#,
        r#"{"version": 7, "dht_prefix": "m", "blocks": "0:8", "throughput": {"value": 1.5, "source": "admin",
            "version": 6}, "cache_tokens_left": {"value": 3, "source": "backend", "version": 7}}"#,
        "petald kind 1 da39a3ee5e6b4b0d3255bfef95601890afd80709\n",
        r#"{"state": "online", "throughput": 2, "cache_tokens_left": 7, "public_name": "a node"}"#,
        r#"{"throughput": 3, "network_rps": 1.5, "forward_rps": null, "cache_tokens_left": 8192}"#,
        "/dns4/example.org/tcp/31337/p2p/12D3KooWCLmQZ4BKSQne7hYU6Md9KjcgWATeD8shnzsR79TZifGW",
    ];

    fn all(bytes: &[u8]) {
        super::files(bytes);
        super::requests(bytes);
        super::addresses(bytes);
    }

    #[test]
    fn what_is_well_formed_is_judged() {
        for text in WELL_FORMED {
            all(text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn whatever_comes(bytes in vec(any::<u8>(), 0..400)) {
            all(&bytes);
        }

        #[test]
        fn what_was_spoilt(which: Index, changes in vec((any::<Index>(), any::<u8>()), 0..8), end: Index) {
            let mut bytes = which.get(&WELL_FORMED).as_bytes().to_vec();
            for (place, byte) in changes {
                *place.get_mut(&mut bytes) = byte;
            }
            all(&bytes);
            all(&bytes[..end.index(bytes.len())]);
        }
    }
}
