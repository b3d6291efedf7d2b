//! `petald run`: lays the foundation, starts the tree, and stays until it ends.

use std::convert::Infallible;
use std::sync::Arc;

use petald_actors::admin::TreeCell;
use petald_actors::network::Handle;
use petald_actors::supervisor::{Outcome, Tree};
use petald_actors::watchdog::messages::News;
use tokio::sync::watch;

use crate::config::Config;
use crate::exit::Exit;
use crate::foundation::Foundation;
use crate::greeting::{self, Whereabouts};
use crate::reload::Reloading;
use crate::signals::{Hangups, Stops};
use crate::tree;

/// Runs the node until it is drained or its root supervisor gives up.
pub(crate) async fn run(config: Config) -> anyhow::Result<Exit> {
    let (stops, hangups) = (Stops::listen()?, Hangups::listen()?);
    let mut foundation = Foundation::lay(config)?;
    // Before we listen: whoever answers under our identity now is another.
    foundation.double = tree::double(&foundation).await;
    let (bound, bound_now) = watch::channel(None);
    let cell = TreeCell::default();
    let (network, commands) = Handle::channel(foundation.identity.peer_id(), tree::NETWORK_COMMANDS);
    let reloading = Reloading::default();
    let root = tree::root(&foundation, &network, &commands, Arc::clone(&cell), bound, &reloading)?;
    let root = Tree::new(root)?;
    log_panics();
    let (tree, outcome) = root.start();
    let _ = cell.set(tree.clone());
    let greet = async {
        greeting::wait_until_up(&tree).await;
        crate::say(Whereabouts {
            peer_id: foundation.identity.peer_id(),
            listen: network.status().await.map(|status| status.listening).unwrap_or_default(),
            log_dir: foundation.config.log_dir(),
            admin: bound_now.borrow().clone(),
        });
    };
    let beside = async {
        tokio::join!(
            greet,
            greeting::keep_admin_address(&foundation.data_dir, bound_now.clone()),
            foundation.managed.tell_when_reloaded(reloading.reloads.subscribe()),
        );
        std::future::pending::<Infallible>().await
    };
    let outcome = tokio::select! {
        outcome = outcome => outcome,
        never = stops.drain(|| tree.stop()) => match never {},
        never = hangups.each(|| hung_up(&foundation, &reloading)) => match never {},
        never = beside => match never {},
    };
    match outcome {
        Outcome::Drained => {
            let lost_log_lines = foundation.log().dropped_lines();
            tracing::info!(lost_log_lines, "petald drained");
            Ok(Exit::Done)
        }
        Outcome::GaveUp { cause } => {
            tracing::error!(cause, "petald gave up");
            anyhow::bail!("the root supervisor gave up: {cause}")
        }
    }
}

/// The log first, so that what follows is told in the new file.
fn hung_up(foundation: &Foundation, reloading: &Reloading) {
    foundation.log().reopen();
    foundation.managed.tell(&[News::Reloading]);
    reloading.wanted.notify_one();
}

/// From now on the supervisor tells of every panic in one event. The whole story, which Rust would print to the
/// console, is for whoever debugs.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::debug!(%panic, %backtrace, "panic");
    }));
}
