//! Parsers of single values. Each says what is wrong and what would be right.

use std::fmt::{self, Display};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use libp2p::StreamProtocol;
use libp2p::multiaddr::{Multiaddr, Protocol};
use tracing_subscriber::EnvFilter;

use super::entry::{Entry, Parsed};

/// A year; a longer wait is surely a slip of the unit, and far longer ones overflow the clock.
const LONGEST_DURATION: Duration = Duration::from_secs(365 * 24 * 3600);

/// The units of sizes, in bytes.
const BYTE_UNITS: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Any text but an empty one.
pub(super) fn text(entry: &Entry) -> Parsed<String> {
    let text = entry.text()?;
    if text.trim().is_empty() {
        return entry.wrong("is empty", "leave the key out instead");
    }
    Ok(text)
}

/// True or false.
pub(super) fn boolean(entry: &Entry) -> Parsed<bool> {
    entry.boolean()
}

/// A path, relative to the working directory unless absolute.
pub(super) fn path(entry: &Entry) -> Parsed<PathBuf> {
    text(entry).map(PathBuf::from)
}

/// A duration longer than nothing, such as `30s` or `1m 30s`.
pub(super) fn duration(entry: &Entry) -> Parsed<Duration> {
    let example = r#"write it with a unit, such as "30s" or "5m""#;
    let Ok(text) = entry.text() else {
        return entry.wrong("is a duration without quotes and unit", example);
    };
    match humantime::parse_duration(&text) {
        Ok(Duration::ZERO) => entry.wrong("is no time at all", example),
        Ok(duration) if duration > LONGEST_DURATION => entry.wrong("is more than a year", example),
        Ok(duration) => Ok(duration),
        Err(error) => entry.wrong(format!("{text:?} is not a duration: {error}"), example),
    }
}

/// A number of bytes, such as `64KiB`.
pub(super) fn bytes(entry: &Entry) -> Parsed<u64> {
    let example = r#"write it with a unit, such as "64KiB" or "256MiB""#;
    let Ok(text) = entry.text() else {
        return entry.wrong("is a size without quotes and unit", example);
    };
    let digits = text.trim_end_matches(|char: char| !char.is_ascii_digit());
    let unit = BYTE_UNITS.iter().find(|(unit, _)| *unit == text[digits.len()..].trim());
    let bytes =
        digits.parse::<u64>().ok().zip(unit).and_then(|(number, (_, unit))| number.checked_mul(*unit));
    match bytes {
        Some(bytes) => Ok(bytes),
        None => entry.wrong(format!("{text:?} is not a size"), example),
    }
}

/// A whole number of at least 1 that fits.
pub(super) fn count(entry: &Entry) -> Parsed<NonZeroU32> {
    count_up_to(u32::MAX)(entry)
}

/// A whole number from 1 to `most`.
pub(super) fn count_up_to(most: u32) -> impl Fn(&Entry) -> Parsed<NonZeroU32> {
    move |entry| {
        let number = entry.integer()?;
        let count = u32::try_from(number).ok().filter(|count| *count <= most).and_then(NonZeroU32::new);
        match count {
            Some(count) => Ok(count),
            None => entry.wrong(format!("{number} is out of range"), format!("expected 1 to {most}")),
        }
    }
}

/// A whole number of at least 0.
pub(super) fn unsigned(entry: &Entry) -> Parsed<u64> {
    let number = entry.integer()?;
    u64::try_from(number).or_else(|_| entry.wrong(format!("{number} is below 0"), "expected 0 or more"))
}

/// A type that knows its own rules for a number.
pub(super) fn number<T>(entry: &Entry) -> Parsed<T>
where
    T: TryFrom<f64>,
    T::Error: Display,
{
    T::try_from(entry.float()?).or_else(|error| entry.wrong(error.to_string(), ""))
}

/// A type that knows its own rules for a text.
pub(super) fn parsed<T>(entry: &Entry) -> Parsed<T>
where
    T: FromStr,
    T::Err: Display,
{
    entry.text()?.parse().or_else(|error: T::Err| entry.wrong(error.to_string(), ""))
}

/// One of a few words.
pub(super) fn word<T: Copy>(words: &'static [(&'static str, T)]) -> impl Fn(&Entry) -> Parsed<T> {
    move |entry| {
        let text = entry.text()?;
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(*value),
            None => {
                let known: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
                entry.wrong(format!("{text:?} is not known here"), format!("expected {}", known.join(" or ")))
            }
        }
    }
}

/// An array, each item read by `item`; every wrong item is told, and no item may stand there twice.
pub(super) fn list<T: PartialEq>(item: impl Fn(&Entry) -> Parsed<T>) -> impl Fn(&Entry) -> Parsed<Vec<T>> {
    move |entry| {
        let (mut items, mut problems) = (Vec::new(), Vec::new());
        for entry in entry.items()? {
            match item(&entry) {
                Ok(item) if items.contains(&item) => {
                    problems
                        .extend(entry.wrong::<()>("is there twice", "remove one").err().unwrap_or_default());
                }
                Ok(item) => items.push(item),
                Err(wrong) => problems.extend(wrong),
            }
        }
        if problems.is_empty() { Ok(items) } else { Err(problems) }
    }
}

/// An address to listen on: an IP address, and a TCP port or a UDP port for QUIC, which may be 0.
pub(super) fn listen_address(entry: &Entry) -> Parsed<Multiaddr> {
    let remedy = "expected such as \"/ip4/0.0.0.0/tcp/31337\"";
    let address = multiaddr(entry, remedy)?;
    match address.iter().collect::<Vec<_>>()[..] {
        [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_)]
        | [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Udp(_), Protocol::QuicV1] => Ok(address),
        _ => entry.wrong(format!("cannot listen on {address}"), remedy),
    }
}

/// An address under which others can dial: a host, and a TCP port or a UDP port for QUIC.
pub(super) fn dialable_address(entry: &Entry) -> Parsed<Multiaddr> {
    let remedy = "expected such as \"/dns/node.example.org/tcp/31337\"";
    let address = multiaddr(entry, remedy)?;
    match address.iter().collect::<Vec<_>>()[..] {
        [ref host, Protocol::Tcp(port)] | [ref host, Protocol::Udp(port), Protocol::QuicV1]
            if is_host(host) && port != 0 =>
        {
            Ok(address)
        }
        _ => entry.wrong(format!("nobody could dial {address}"), remedy),
    }
}

/// The name of a libp2p protocol, such as `/ipfs/kad/1.0.0`.
pub(super) fn protocol(entry: &Entry) -> Parsed<StreamProtocol> {
    StreamProtocol::try_from_owned(entry.text()?)
        .or_else(|error| entry.wrong(error.to_string(), "expected such as \"/ipfs/kad/1.0.0\""))
}

/// The address of a peer, with its id.
pub(super) fn peer_address(entry: &Entry) -> Parsed<Multiaddr> {
    let remedy = "expected such as \"/dns/bootstrap.example.org/tcp/31337/p2p/<peer id>\"";
    let address = multiaddr(entry, remedy)?;
    match address.iter().collect::<Vec<_>>()[..] {
        [ref host, Protocol::Tcp(port), Protocol::P2p(_)] if is_host(host) && port != 0 => Ok(address),
        // A name whose TXT records hold whole addresses.
        [Protocol::Dnsaddr(ref name), Protocol::P2p(_)] if !name.is_empty() => Ok(address),
        [Protocol::Dnsaddr(_)] => entry.wrong(format!("{address} lacks the peer's id"), remedy),
        [ref host, Protocol::Tcp(_)] if is_host(host) => {
            entry.wrong(format!("{address} lacks the peer's id"), remedy)
        }
        _ => entry.wrong(format!("{address} is not the address of a peer over TCP"), remedy),
    }
}

fn multiaddr(entry: &Entry, remedy: &str) -> Parsed<Multiaddr> {
    let text = entry.text()?;
    text.parse().or_else(|error| entry.wrong(format!("{text:?} is not a multiaddress: {error}"), remedy))
}

/// A host that can be dialled: a name, or an IP address that is not the unspecified one.
fn is_host(part: &Protocol<'_>) -> bool {
    match part {
        Protocol::Ip4(ip) => !IpAddr::from(*ip).is_unspecified(),
        Protocol::Ip6(ip) => !IpAddr::from(*ip).is_unspecified(),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => !name.is_empty(),
        _ => false,
    }
}

/// Which events are logged, as `tracing_subscriber`'s filters are written: `info,libp2p=warn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directives(String);

/// Why a text tells no levels, and what would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {}", Directives::EXPECTED)]
pub(crate) struct DirectivesError {
    what: String,
}

impl Directives {
    const EXPECTED: &str =
        r#"expected a level (error, warn, info, debug, trace) or such as "info,petald_actors=debug""#;

    /// The filter. It can only fail if the text was not validated.
    pub(crate) fn filter(&self) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
        EnvFilter::builder().parse(&self.0)
    }
}

impl fmt::Display for Directives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A bare word must be a level: the filter itself would take a misspelt one for a target.
impl FromStr for Directives {
    type Err = DirectivesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let directives = Self(text.to_owned());
        let misspelt = text.split(',').map(str::trim).find(|directive| {
            let bare = !directive.contains(['=', '[', '{']);
            bare && directive.parse::<tracing::level_filters::LevelFilter>().is_err()
        });
        if let Some(word) = misspelt {
            return Err(DirectivesError { what: format!("{word:?} is not a level") });
        }
        match directives.filter() {
            Ok(_) => Ok(directives),
            Err(error) => Err(DirectivesError { what: format!("{text:?} is not a filter: {error}") }),
        }
    }
}

/// Log levels.
pub(super) fn directives(entry: &Entry) -> Parsed<Directives> {
    text(entry)?.parse().or_else(|error: DirectivesError| entry.wrong(error.what, Directives::EXPECTED))
}
