//! Whom it feeds, and when it does not, in virtual time.

use std::{
    io,
    sync::{Mutex, OnceLock},
};

use tokio::{sync::watch, time::sleep};

use super::*;
use crate::{
    observer::messages::Layer,
    supervisor::{
        Backoff, ChildSettings, Handle, Intensity, Outcome, Restart, Slot, Strategy, Tree, actor, supervisor,
    },
};

/// The service manager waits this long to be fed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Keeps what it is told, with the moment.
#[derive(Clone, Default)]
struct Manager {
    told: Arc<Mutex<Vec<(f64, String)>>>,
    begun: Arc<OnceLock<Instant>>,
    refuses: Arc<Mutex<bool>>,
}

impl Manager {
    fn told(&self, what: &str) -> Vec<f64> {
        let told = self.told.lock().unwrap();
        told.iter().filter(|(_, text)| text.starts_with(what)).map(|(at, _)| *at).collect()
    }
}

impl ServiceManager for Manager {
    fn tell(&self, news: &[News<'_>]) -> io::Result<()> {
        if *self.refuses.lock().unwrap() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let at = self.begun.get_or_init(Instant::now).elapsed().as_secs_f64();
        let mut told = self.told.lock().unwrap();
        told.extend(news.iter().map(|news| (at, format!("{news:?}"))));
        Ok(())
    }
}

/// An actor that answers no probe, and is not even ready, in those generations.
struct Patient {
    deaf: bool,
    birth: Birth,
}

impl Actor for Patient {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        if !self.deaf {
            self.birth.ready.notify();
        }
    }
}

impl Handler<Probe> for Patient {
    type Result = actix::ResponseActFuture<Self, ProbeReport>;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> Self::Result {
        let deaf = self.birth.generation == 1;
        let answer = async move {
            if deaf {
                std::future::pending::<()>().await;
            }
            ProbeReport::default()
        };
        Box::pin(answer.into_actor(self))
    }
}

impl Handler<Drain> for Patient {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {}
}

struct Lab {
    manager: Manager,
    tree: Handle,
    outcome: std::pin::Pin<Box<dyn Future<Output = Outcome>>>,
    opinion: watch::Sender<Arc<Opinion>>,
    reloads: watch::Sender<Reloads>,
}

/// A tree of one patient, whose first generation answers no probe, and a watchdog. From which generation on it cannot
/// even be started is said by `broken_from`.
fn lab(broken_from: u64) -> Lab {
    tokio::time::pause();
    let manager = Manager::default();
    manager.begun.get_or_init(Instant::now);
    let tree = TreeCell::default();
    let (opinion, visibility) = watch::channel(Arc::new(Opinion::none()));
    let reloads = watch::Sender::default();
    let settings = Settings {
        manager: Some(Arc::new(manager.clone())),
        patience: Some(PATIENCE),
        tree: Arc::clone(&tree),
        visibility,
        reloads: reloads.subscribe(),
    };
    let usual = ChildSettings {
        restart: Restart::Permanent,
        backoff: Backoff { jitter: 0.0, ..Backoff::default() },
        ..ChildSettings::default()
    };
    let patient = actor("patient", &Slot::new(), usual, move |birth| Patient {
        deaf: birth.generation >= broken_from,
        birth,
    });
    let watchdog =
        actor("watchdog", &Slot::new(), usual, move |birth| Watchdog::new(settings.clone(), birth));
    let root = supervisor("root", Strategy::OneForOne, Intensity::default(), vec![patient, watchdog]);
    let (handle, outcome) = Tree::new(root).unwrap().start();
    tree.set(handle.clone()).unwrap();
    Lab { manager, tree: handle, outcome: Box::pin(outcome), opinion, reloads }
}

fn longest_gap(fed: &[f64]) -> f64 {
    fed.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max)
}

#[actix_rt::test]
async fn an_actor_that_hangs_is_restarted_and_the_feeding_goes_on() {
    let lab = lab(u64::MAX);
    sleep(Duration::from_secs(120)).await;
    let status = lab.tree.status().await;
    let patient = &status.actors[0];
    assert_eq!((patient.hangs, patient.restarts), (1, 1), "{patient:?}");
    assert_eq!(lab.manager.told("Ready").len(), 1);
    let fed = lab.manager.told("Alive");
    assert!(fed.len() >= 8 && longest_gap(&fed) <= PATIENCE.as_secs_f64() / 2.0 + 0.1, "{fed:?}");
    assert_eq!(status.silent().count(), 0);
}

#[actix_rt::test]
async fn it_is_not_fed_while_an_actor_cannot_be_brought_back() {
    let lab = lab(2);
    sleep(Duration::from_secs(200)).await;
    let silent: Vec<String> = lab.tree.status().await.silent().map(|actor| actor.name.clone()).collect();
    assert_eq!(silent, ["patient"]);
    let last = *lab.manager.told("Alive").last().expect("it was fed at first");
    let tolerated = ChildSettings::default().tolerated_silence().as_secs_f64();
    assert!(last <= tolerated, "fed at {last} s, after {tolerated} s of silence");
    assert!(last > tolerated - PATIENCE.as_secs_f64(), "given up on at {last} s, before {tolerated} s");
    let told = lab.manager.told("Status(\"silent: patient; ");
    assert!(!told.is_empty(), "the line names it: {:?}", lab.manager.told.lock().unwrap());
}

#[actix_rt::test]
async fn each_change_of_visibility_is_a_line() {
    let lab = lab(u64::MAX);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(lab.manager.told("Status(\"visibility unknown: not looked yet\")").len(), 1);
    let word = |verdict, cause: &str| Opinion {
        verdict,
        layer: Some(Layer::Record),
        cause: cause.to_owned(),
        valid_for: Duration::from_secs(60),
        ..Opinion::none()
    };
    lab.opinion.send_replace(Arc::new(word(Verdict::Visible, "all\n8 blocks")));
    sleep(Duration::from_millis(10)).await;
    assert_eq!(lab.manager.told("Status(\"visible: all 8 blocks\")").len(), 1);
    lab.opinion.send_replace(Arc::new(word(Verdict::Visible, "all\n8 blocks")));
    lab.opinion.send_replace(Arc::new(word(Verdict::Invisible, &"x".repeat(1000))));
    sleep(Duration::from_millis(10)).await;
    let told = lab.manager.told.lock().unwrap().last().unwrap().1.clone();
    assert!(told.starts_with("Status(\"invisible: xxx") && told.len() < STATUS_CHARACTERS + 20, "{told}");
    sleep(Duration::from_secs(100)).await;
    let stale = "Status(\"visibility unknown, the observer is silent, it last said: xxx";
    assert_eq!(lab.manager.told(stale).len(), 1);
}

#[actix_rt::test]
async fn a_reload_is_told_from_its_beginning_to_its_end_however_short_it_is() {
    let lab = lab(u64::MAX);
    sleep(Duration::from_secs(20)).await;
    let told = || (lab.manager.told("Reloading").len(), lab.manager.told("Ready").len());
    assert_eq!(told(), (0, 1));
    lab.reloads.send_modify(|reloads| reloads.reloading = true);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(told(), (1, 1), "it goes on");
    lab.reloads.send_modify(|reloads| (reloads.reloading, reloads.refused) = (false, 1));
    sleep(Duration::from_millis(10)).await;
    assert_eq!(told(), (1, 2));
    // Over before anybody looks.
    lab.reloads.send_modify(|reloads| reloads.accepted = 1);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(told(), (2, 3));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(told(), (2, 3));
}

#[actix_rt::test]
async fn it_says_that_the_node_drains_and_feeds_nobody_from_then_on() {
    let lab = lab(u64::MAX);
    sleep(Duration::from_secs(20)).await;
    lab.tree.stop();
    assert_eq!(lab.outcome.await, Outcome::Drained);
    let stopping = lab.manager.told("Stopping");
    assert_eq!(stopping.len(), 1);
    assert!(lab.manager.told("Alive").iter().all(|at| *at <= stopping[0]));
}

#[actix_rt::test]
async fn a_manager_that_cannot_be_told_is_told_later() {
    let lab = lab(u64::MAX);
    *lab.manager.refuses.lock().unwrap() = true;
    sleep(Duration::from_secs(20)).await;
    let report = lab.tree.status().await.actors[1].report.clone().unwrap();
    assert_eq!((&report["fed"], report["last_error"].is_string()), (&0.into(), true), "{report}");
    *lab.manager.refuses.lock().unwrap() = false;
    sleep(Duration::from_secs(20)).await;
    assert!(!lab.manager.told("Alive").is_empty());
    assert_eq!(lab.manager.told("Ready").len(), 1, "it is told that we are up, however late");
    assert_eq!(lab.manager.told("Status").len(), 1);
}
