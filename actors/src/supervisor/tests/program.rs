//! The tree as the program runs it: on an arbiter inside the multi-threaded runtime, in real time.

use actix::{Actor, Context, Handler};

use super::lab::{until, until_running};
use crate::supervisor::*;

/// The least that an actor must be.
struct Least {
    birth: Birth,
}

impl Actor for Least {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.birth.ready.notify();
    }
}

impl Handler<Probe> for Least {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> Self::Result {
        ProbeReport::of(&self.birth.generation)
    }
}

impl Handler<Drain> for Least {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {}
}

#[test]
fn a_tree_lives_on_an_arbiter_of_the_multi_threaded_runtime() {
    let runtime =
        || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let system = actix_rt::System::with_tokio_rt(runtime);
    system.block_on(async {
        let slot = Slot::new();
        let child = actor("least", &slot, ChildSettings::default(), |birth| Least { birth });
        let root = supervisor("root", Strategy::OneForOne, Intensity::default(), vec![child]);
        let (handle, outcome) = Tree::new(root).unwrap().start();
        until_running(&handle).await;
        let theirs = handle.clone();
        tokio::spawn(async move { theirs.crash("least").await }).await.unwrap().unwrap();
        until(&handle, "it lives again", |status| status.actors[0].generation == 2).await;
        until_running(&handle).await;
        assert_eq!(slot.get().unwrap().send(Probe).await.unwrap(), ProbeReport(2.into()));
        handle.stop();
        assert_eq!(outcome.await, Outcome::Drained);
    });
}

#[actix_rt::test]
async fn an_actor_can_be_tested_without_a_tree() {
    let (birth, ready) = Birth::detached();
    let slot = Slot::new();
    slot.fill(Least { birth }.start());
    assert_eq!(slot.get().unwrap().send(Probe).await.unwrap(), ProbeReport(1.into()));
    assert!(*ready.borrow());
}
