//! The service manager that started us, as systemd's notify protocol knows it (`sd_notify(3)`, `sd_watchdog_enabled(3)`).
//!
//! The protocol is one datagram of lines; it is written here, since the crate for it waits for a manager that does not
//! read, on the actors' own thread, and knows no abstract sockets.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use petald_actors::config_keeper::Reloads;
use petald_actors::watchdog::messages::{News, ServiceManager};
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

/// The service manager, if there is one, and how often it wants to hear of us.
#[derive(Clone, Default)]
pub(crate) struct Managed {
    /// Whom to tell.
    pub(crate) manager: Option<Arc<dyn ServiceManager>>,
    /// How long it waits for the next sign of life, if it does.
    pub(crate) patience: Option<Duration>,
}

impl fmt::Debug for Managed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Managed({}, {:?})", self.manager.is_some(), self.patience)
    }
}

impl Managed {
    /// Whoever is named by the environment of this process.
    pub(crate) fn from_environment() -> Self {
        let variable = |name: &str| std::env::var_os(name);
        Self::named(variable, std::process::id())
    }

    /// Tells it, if it is there and listens: nothing of ours depends on it.
    pub(crate) fn tell(&self, news: &[News<'_>]) {
        if let Some(manager) = &self.manager
            && let Err(error) = manager.tell(news)
        {
            tracing::debug!(%error, "the service manager was not told");
        }
    }

    /// Tells it of the end of each reload, whatever came of it: what it waits for after [`News::Reloading`].
    pub(crate) async fn tell_when_reloaded(&self, mut reloads: watch::Receiver<Reloads>) {
        while reloads.changed().await.is_ok() {
            if !reloads.borrow_and_update().reloading {
                self.tell(&[News::Ready]);
            }
        }
    }

    /// A name that cannot be used is told, and costs nothing else: nobody keeps a node from running with it.
    fn named(variable: impl Fn(&str) -> Option<OsString>, own_pid: u32) -> Self {
        let Some(name) = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        let socket = match Socket::to(&name) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::warn!(socket = %name.display(), %error, "the service manager cannot be told");
                return Self::default();
            }
        };
        let number = |name| variable(name).and_then(|text| text.to_str()?.parse::<u64>().ok());
        // What was meant for a process that has started us is not for us.
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(own_pid));
        let patience = number("WATCHDOG_USEC").filter(|micros| ours && *micros > 0);
        Self { manager: Some(Arc::new(socket)), patience: patience.map(Duration::from_micros) }
    }
}

/// Where systemd listens.
struct Socket {
    from: UnixDatagram,
    to: SocketAddr,
}

impl Socket {
    fn to(name: &OsStr) -> io::Result<Self> {
        let to = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let from = UnixDatagram::unbound()?;
        from.set_nonblocking(true)?;
        Ok(Self { from, to })
    }
}

impl ServiceManager for Socket {
    fn tell(&self, news: &[News<'_>]) -> io::Result<()> {
        self.from.send_to_addr(lines(news).as_bytes(), &self.to).map(|_| ())
    }
}

fn lines(news: &[News<'_>]) -> String {
    let mut lines = String::new();
    for news in news {
        // Writing into a string cannot fail.
        let _ = match news {
            News::Ready => writeln!(lines, "READY=1"),
            News::Reloading => {
                let now = clock_gettime(ClockId::Monotonic);
                let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
                writeln!(lines, "RELOADING=1\nMONOTONIC_USEC={micros}")
            }
            News::Stopping => writeln!(lines, "STOPPING=1"),
            News::Status(line) => writeln!(lines, "STATUS={line}"),
            News::Alive => writeln!(lines, "WATCHDOG=1"),
        };
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn managed(variables: &[(&str, &str)]) -> Managed {
        let variables: HashMap<_, _> = variables.iter().copied().collect();
        Managed::named(|name| variables.get(name).map(OsString::from), 42)
    }

    #[test]
    fn the_environment_says_whom_to_feed_and_how_often() {
        let (socket, usec) = (("NOTIFY_SOCKET", "/run/systemd/notify"), ("WATCHDOG_USEC", "30000000"));
        let long = "x".repeat(200);
        let patience = |variables: &[(&str, &str)]| {
            let managed = managed(variables);
            managed.manager.map(|_| managed.patience)
        };
        assert_eq!(patience(&[usec]), None);
        assert_eq!(patience(&[("NOTIFY_SOCKET", ""), usec]), None);
        assert_eq!(patience(&[("NOTIFY_SOCKET", &long), usec]), None, "longer than a socket's path");
        assert_eq!(patience(&[socket]), Some(None));
        let half_a_minute = Some(Some(Duration::from_secs(30)));
        assert_eq!(patience(&[socket, usec]), half_a_minute);
        assert_eq!(patience(&[socket, usec, ("WATCHDOG_PID", "42")]), half_a_minute);
        assert_eq!(patience(&[socket, usec, ("WATCHDOG_PID", "43")]), Some(None));
        assert_eq!(patience(&[socket, ("WATCHDOG_USEC", "often")]), Some(None));
    }

    #[test]
    fn what_is_told_arrives_at_sockets_of_both_kinds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("petald-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let sockets = [
            (path.to_str().unwrap().to_owned(), UnixDatagram::bind(&path).unwrap()),
            (format!("@{abstract_name}"), UnixDatagram::bind_addr(&abstract_address).unwrap()),
        ];
        for (name, socket) in sockets {
            let manager = managed(&[("NOTIFY_SOCKET", &name)]).manager.unwrap();
            let mut heard = [0; 512];
            manager.tell(&[News::Ready, News::Status("visible"), News::Alive]).unwrap();
            let length = socket.recv(&mut heard).unwrap();
            assert_eq!(&heard[..length], b"READY=1\nSTATUS=visible\nWATCHDOG=1\n");
            manager.tell(&[News::Reloading]).unwrap();
            let length = socket.recv(&mut heard).unwrap();
            let text = std::str::from_utf8(&heard[..length]).unwrap();
            let micros = text.trim_end().strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(text);
            assert!(micros.parse::<u64>().unwrap() > 0);
        }
    }

    #[test]
    fn a_manager_that_does_not_read_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let manager = managed(&[("NOTIFY_SOCKET", path.to_str().unwrap())]).manager.unwrap();
        let full = (0..100_000).find_map(|_| manager.tell(&[News::Alive]).err());
        assert_eq!(full.unwrap().kind(), io::ErrorKind::WouldBlock);
        drop(socket);
        manager.tell(&[News::Alive]).unwrap_err();
    }
}
