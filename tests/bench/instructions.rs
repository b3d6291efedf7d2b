//! Instructions that a callee takes for one call, counted by callgrind: the same on a busy machine as on an idle one.
//!
//! Callgrind runs a program some fifty times slower, so what the callee does by the clock counts for as much more; it is
//! measured apart and taken off.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use libp2p::{Multiaddr, PeerId};
use tokio::process::{Child, Command};

use super::{
    Options, bare_echo,
    caller::{Caller, of_handlers},
    calls::{Kind, kinds},
    support::{
        deadline::eventually,
        petald::{Config, Home, petald},
    },
};

const CALLS: usize = 400;
const WARM_UP: usize = 100;
const IDLE: Duration = Duration::from_secs(5);
const START_LIMIT: Duration = Duration::from_secs(120);

/// A callee under callgrind; it ends with this.
struct Counted {
    child: Child,
    folder: tempfile::TempDir,
    dumps: usize,
}

impl Counted {
    fn start(program: &Path, arguments: &[&str], folder: tempfile::TempDir) -> Self {
        let mut command = Command::new("valgrind");
        command
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", folder.path().join("counts").display()))
            .arg(program)
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .stdout(std::fs::File::create(folder.path().join("stdout")).unwrap())
            .stderr(std::fs::File::create(folder.path().join("stderr")).unwrap())
            .kill_on_drop(true);
        Self { child: command.spawn().expect("valgrind is installed"), folder, dumps: 0 }
    }

    /// Instructions since the last time.
    async fn count(&mut self) -> u64 {
        let pid = self.child.id().expect("it runs").to_string();
        let dumped = Command::new("callgrind_control").args(["-d", &pid]).output().await.unwrap();
        assert!(dumped.status.success(), "{}", String::from_utf8_lossy(&dumped.stderr));
        self.dumps += 1;
        let file: PathBuf = self.folder.path().join(format!("counts.{}", self.dumps));
        let look = async || {
            let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
            let totals = text.lines().filter_map(|line| line.strip_prefix("totals: ")).next_back();
            totals.and_then(|totals| totals.trim().parse().ok()).ok_or_else(|| "no totals yet".to_owned())
        };
        eventually(START_LIMIT, "callgrind has written its counts", look).await.0
    }
}

pub(crate) async fn run(_: &Options) -> bool {
    if Command::new("valgrind").arg("--version").output().await.is_err() {
        println!("instructions: left out, since there is no valgrind");
        return true;
    }
    let home = Home::new(&Config::default());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let identity = home.folder().join("identity");
    let identity = format!("network.identity={}", identity.display());
    let made = petald().args(["identity", "new", "--set", &identity]).output().await.unwrap();
    let made = String::from_utf8_lossy(&made.stdout).into_owned();
    let peer: PeerId = made.split_whitespace().find_map(|word| word.parse().ok()).expect("its peer id");
    let config = home.config();
    let listen = format!("network.listen={address}");
    let arguments = ["run", "--config", config.to_str().unwrap(), "--set", &listen, "--set", &identity];
    let mut node =
        Counted::start(Path::new(env!("CARGO_BIN_EXE_petald")), &arguments, tempfile::tempdir().unwrap());
    let caller = connect(peer, &address, true).await;
    let mut kinds = kinds();
    for kind in &mut kinds {
        let answer = eventually(START_LIMIT, "it answers", async || {
            caller.call(&kind.handler, (kind.data)()).await.map_err(|error| error.to_string())
        });
        kind.answer = answer.await.0.len();
    }
    let ours = count(&mut node, &caller, &kinds, &|kind| (kind.data)()).await;
    drop((caller, node));

    let program = std::env::current_exe().unwrap();
    let mut bare = Counted::start(&program, &["--serve-echo"], tempfile::tempdir().unwrap());
    let stdout = bare.folder.path().join("stdout");
    let (line, _) = eventually(START_LIMIT, "the echo listens", async || {
        let text = std::fs::read_to_string(&stdout).map_err(|error| error.to_string())?;
        text.split_once('\n').map(|(line, _)| line.to_owned()).ok_or(text)
    })
    .await;
    let (address, peer) = line.split_once(' ').expect("an address and a peer");
    let caller = connect(peer.parse().unwrap(), &address.parse().unwrap(), false).await;
    let echo = count(&mut bare, &caller, &kinds, &Kind::echoed).await;
    for ((kind, ours), echo) in kinds.iter().zip(&ours).zip(&echo) {
        for ((at_once, ours), echo) in [1, 64].iter().zip(ours).zip(echo) {
            println!(
                "figure: instructions of one {}, {at_once} in flight: petald {ours:.0}, bare echo {echo:.0}, ratio {:.2}",
                kind.name,
                ours / echo
            );
        }
    }
    true
}

async fn connect(peer: PeerId, address: &Multiaddr, bare_names: bool) -> Caller {
    let dial = async || match bare_names {
        true => Caller::connect(of_handlers(), peer, address.clone()).await,
        false => Caller::connect((bare_echo::Echo::default(), None), peer, address.clone()).await,
    };
    eventually(START_LIMIT, "the callee listens", dial).await.0
}

/// Instructions of a call of each kind, one after the other and 64 in flight.
async fn count(
    callee: &mut Counted,
    caller: &Caller,
    kinds: &[Kind],
    data: &dyn Fn(&Kind) -> Vec<u8>,
) -> Vec<[f64; 2]> {
    callee.count().await;
    tokio::time::sleep(IDLE).await;
    let idle = callee.count().await as f64 / IDLE.as_secs_f64();
    let mut counts = Vec::new();
    for kind in kinds {
        let mut of_kind = [0.0; 2];
        for (count, at_once) in of_kind.iter_mut().zip([1, 64]) {
            caller.in_flight(&kind.handler, at_once, WARM_UP, &|| data(kind)).await;
            callee.count().await;
            let begun = Instant::now();
            let run = caller.in_flight(&kind.handler, at_once, CALLS, &|| data(kind)).await;
            assert_eq!(run.failed, 0, "{:?}", run.failure);
            let took = begun.elapsed().as_secs_f64();
            *count = (callee.count().await as f64 - idle * took) / CALLS as f64;
        }
        counts.push(of_kind);
    }
    counts
}
