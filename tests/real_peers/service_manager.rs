//! The program under a service manager that speaks systemd's notify protocol: a real datagram socket.

use std::{os::unix::net::UnixDatagram, time::Duration};

use tokio::net::UnixDatagram as Socket;

use crate::support::{
    deadline::within,
    petald::{Config, Home},
    shared,
};

/// As `WatchdogSec=2s` sets it, in microseconds.
const PATIENCE_MICROS: u64 = 2_000_000;
/// It seeds its own swarm: a stranger finds it within seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// Waits for a message with a line that begins like this.
async fn heard(socket: &Socket, line: &str) -> String {
    let listening = async {
        let mut message = [0; 4096];
        loop {
            let length = socket.recv(&mut message).await.unwrap();
            let text = String::from_utf8_lossy(&message[..length]).into_owned();
            if text.lines().any(|told| told.starts_with(line)) {
                return text;
            }
        }
    };
    within(LIMIT, &format!("{line} is told"), listening).await
}

#[tokio::test]
async fn it_tells_its_manager_that_it_is_up_alive_visible_reloading_and_leaving() {
    let _machine = shared().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = Socket::from_std(socket).unwrap();
    let home = Home::new(&Config::default());
    let petald = home
        .spawn_in(&[
            ("NOTIFY_SOCKET", path.to_str().unwrap()),
            ("WATCHDOG_USEC", &PATIENCE_MICROS.to_string()),
        ])
        .listening()
        .await;
    heard(&socket, "READY=1").await;
    heard(&socket, "STATUS=visible: ").await;
    // Half of its patience, and time for a busy machine.
    let patience = Duration::from_micros(PATIENCE_MICROS);
    heard(&socket, "WATCHDOG=1").await;
    for _ in 0..3 {
        within(patience, "it is fed in time", heard(&socket, "WATCHDOG=1")).await;
    }
    petald.hang_up();
    assert!(heard(&socket, "RELOADING=1").await.contains("\nMONOTONIC_USEC="));
    heard(&socket, "READY=1").await;
    petald.terminate();
    heard(&socket, "STOPPING=1").await;
    assert_eq!(petald.exit().await.code(), Some(0));
}
