//! A tree's description, checked and laid out flat. Pure data.
//!
//! Nodes stand in the order in which they are started, a supervisor before its children, so that a subtree is a range
//! and the order of stopping is the reverse.

use std::{collections::HashSet, ops::Range, time::Duration};

use super::{
    child::{Child, Role},
    incarnation::Spawn,
    intensity::{Intensity, IntensityError},
    policy::{Restart, Strategy},
    settings::{ChildSettings, SettingsError},
};

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

/// One actor or supervisor of a plan.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) parent: Option<usize>,
    pub(super) settings: ChildSettings,
    /// Itself and everything below it.
    pub(super) subtree: Range<usize>,
    /// What it supervises; `None` for an actor.
    pub(super) branch: Option<Branch>,
}

/// The supervisor's part of a node.
#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) strategy: Strategy,
    pub(super) intensity: Intensity,
    pub(super) children: Vec<usize>,
}

/// The nodes of a tree and, for each that is an actor, what builds it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) spawners: Vec<Option<Box<dyn Spawn>>>,
}

impl Plan {
    /// Refuses what cannot be meant.
    pub(super) fn new(root: Child) -> Result<Self, TreeError> {
        if let Role::Actor(_) = root.role {
            return Err(TreeError::RootIsAnActor(root.name));
        }
        check_names(&root, &mut HashSet::new())?;
        check_settings(&root)?;
        let mut plan = Self::default();
        plan.add(root, None);
        Ok(plan)
    }

    fn add(&mut self, child: Child, parent: Option<usize>) -> usize {
        let Child { name, settings, role } = child;
        let id = self.nodes.len();
        self.nodes.push(Node { name, parent, settings, subtree: id..id + 1, branch: None });
        match role {
            Role::Actor(spawner) => self.spawners.push(Some(spawner)),
            Role::Supervisor { strategy, intensity, children } => {
                self.spawners.push(None);
                let children = children.into_iter().map(|child| self.add(child, Some(id))).collect();
                self.nodes[id].branch = Some(Branch { strategy, intensity, children });
            }
        }
        self.nodes[id].subtree.end = self.nodes.len();
        id
    }
}

fn check_names(child: &Child, seen: &mut HashSet<&'static str>) -> Result<(), TreeError> {
    if !seen.insert(child.name) {
        return Err(TreeError::NameTwice(child.name));
    }
    match &child.role {
        Role::Actor(_) => Ok(()),
        Role::Supervisor { children, .. } => children.iter().try_for_each(|child| check_names(child, seen)),
    }
}

fn check_settings(child: &Child) -> Result<(), TreeError> {
    let name = child.name;
    child.settings.validate().map_err(|error| TreeError::Settings { name, error })?;
    let Role::Supervisor { intensity, children, .. } = &child.role else { return Ok(()) };
    for below in children {
        check_settings(below)?;
        if below.settings.restart != Restart::Temporary {
            intensity
                .validate(&below.settings.backoff, time_to_fail(below))
                .map_err(|error| TreeError::Intensity { supervisor: name, child: below.name, error })?;
        }
    }
    Ok(())
}

/// The longest time that a child takes to fail when something in it fails at every start.
fn time_to_fail(child: &Child) -> Duration {
    let Role::Supervisor { intensity, children, .. } = &child.role else { return Duration::ZERO };
    children
        .iter()
        .filter(|below| below.settings.restart != Restart::Temporary)
        .map(|below| intensity.time_to_trip(&below.settings.backoff, time_to_fail(below)))
        .max()
        .unwrap_or_default()
}
