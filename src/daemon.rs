//! `petald run`: lays the foundation, starts the tree, and stays until it ends.

use std::convert::Infallible;
use std::sync::Arc;

use petald_actors::admin::{self, Admin, Bound, TreeCell};
use petald_actors::supervisor::{self, Child, Intensity, Outcome, Slot, Strategy, Tree};
use tokio::sync::watch;

use crate::config::Config;
use crate::exit::Exit;
use crate::foundation::Foundation;
use crate::greeting::{self, Whereabouts};
use crate::signals::Stops;

/// Runs the node until it is drained or its root supervisor gives up.
pub(crate) async fn run(config: Config) -> anyhow::Result<Exit> {
    let stops = Stops::listen()?;
    let foundation = Foundation::lay(config)?;
    let (bound, bound_now) = watch::channel(None);
    let cell = TreeCell::default();
    let ops = ops(&foundation, Arc::clone(&cell), bound);
    let (tree, outcome) = Tree::new(ops)?.start();
    let _ = cell.set(tree.clone());
    let greet = async {
        greeting::wait_until_up(&tree).await;
        crate::say(Whereabouts {
            peer_id: foundation.identity.peer_id(),
            listen: Vec::new(),
            log_dir: foundation.config.log_dir(),
            admin: bound_now.borrow().clone(),
        });
    };
    let beside = async {
        tokio::join!(greet, greeting::keep_admin_address(&foundation.data_dir, bound_now.clone()));
        std::future::pending::<Infallible>().await
    };
    let outcome = tokio::select! {
        outcome = outcome => outcome,
        never = stops.drain(|| tree.stop()) => match never {},
        never = beside => match never {},
    };
    match outcome {
        Outcome::Drained => {
            tracing::info!("petald drained");
            Ok(Exit::Done)
        }
        Outcome::GaveUp { cause } => {
            tracing::error!(cause, "petald gave up");
            anyhow::bail!("the root supervisor gave up: {cause}")
        }
    }
}

/// The part of the tree that the operator talks to.
pub(crate) fn ops(foundation: &Foundation, tree: TreeCell, bound: watch::Sender<Option<Bound>>) -> Child {
    let config = &foundation.config;
    let settings = admin::Settings {
        listen: config.admin.listen.clone(),
        crash_endpoint: config.debug.crash_endpoint,
        name: config.node.public_name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        peer_id: foundation.identity.peer_id(),
        tree,
        bound,
    };
    let admin = config.admin.enabled.then(|| {
        let build = move |birth| Admin::new(settings.clone(), birth);
        supervisor::actor("admin", &Slot::new(), config.supervisor.of("admin"), build)
    });
    supervisor::supervisor("ops", Strategy::OneForOne, Intensity::default(), admin.into_iter().collect())
}
