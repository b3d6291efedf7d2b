//! Which addresses are public.

use libp2p::Multiaddr;

use super::super::addresses::Scope;

#[test]
fn public_addresses_are_told_from_private_ones() {
    let public = [
        "/ip4/159.89.214.152/tcp/31337",
        "/ip4/100.63.255.255/tcp/1",
        "/ip4/100.128.0.1/tcp/1",
        "/ip4/172.32.0.1/tcp/1",
        "/ip4/11.0.0.1/udp/1/quic-v1",
        "/ip6/2a01:4f8::1/tcp/1",
        "/dns/bootstrap1.petals.dev/tcp/31337",
        "/dns4/bootstrap1.petals.dev/tcp/31337",
        "/dnsaddr/bootstrap.libp2p.io",
    ];
    let private = [
        "/ip4/127.0.0.1/tcp/1",
        "/ip4/10.0.0.1/tcp/1",
        "/ip4/172.16.0.1/tcp/1",
        "/ip4/192.168.1.1/tcp/1",
        "/ip4/169.254.0.1/tcp/1",
        "/ip4/100.64.0.1/tcp/1",
        "/ip4/100.127.255.255/tcp/1",
        "/ip4/192.0.0.8/tcp/1",
        "/ip4/192.0.2.1/tcp/1",
        "/ip4/198.51.100.1/tcp/1",
        "/ip4/203.0.113.1/tcp/1",
        "/ip4/198.19.0.1/tcp/1",
        "/ip4/224.0.0.1/tcp/1",
        "/ip4/240.0.0.1/tcp/1",
        "/ip4/10.0.0.1/udp/1/quic-v1",
        "/ip6/::1/tcp/1",
        "/ip6/2001:db8::1/tcp/1",
        "/ip6/3fff:fff::1/tcp/1",
        "/ip6/fec0::1/tcp/1",
        "/ip6/100::1/tcp/1",
        "/ip4/192.168.1.1/tcp/1/p2p/QmedTaZXmULqwspJXz44SsPZyTNKxhnnFvYRajfH7MGhCY/p2p-circuit",
        "/ip6/fe80::1/tcp/1",
        "/ip6/fd00::1/tcp/1",
        "/ip6/::ffff:192.168.1.1/tcp/1",
        "/dns/localhost/tcp/1",
    ];
    let neither = ["/ip4/0.0.0.0/tcp/1", "/ip6/::/tcp/1", "/unix/socket", "/memory/1"];
    let address = |text: &str| text.parse::<Multiaddr>().unwrap();
    for text in public {
        assert!(Scope::Public.allows(&address(text)), "{text}");
        assert!(Scope::Private.allows(&address(text)), "{text}");
    }
    for text in private {
        assert!(!Scope::Public.allows(&address(text)), "{text}");
        assert!(Scope::Private.allows(&address(text)), "{text}");
    }
    for text in neither {
        assert!(!Scope::Public.allows(&address(text)), "{text}");
        assert!(!Scope::Private.allows(&address(text)), "{text}");
    }
    assert!(!Scope::Private.allows(&Multiaddr::empty()));
}
