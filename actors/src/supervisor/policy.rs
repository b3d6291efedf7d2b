//! Who is restarted after which exit, and who goes down with a failed child. Pure data.
//!
//! The terms and their meaning are those of OTP's supervisor behaviour.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Which exits of a child are answered by a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Every exit.
    #[default]
    Permanent,
    /// Every failure; a child that finished by itself has done its work.
    Transient,
    /// None. It is not started again when the children around it are rebuilt, either.
    Temporary,
}

impl Restart {
    /// Whether a child that ended like this is to be started again.
    pub fn wants(self, exit: ExitKind) -> bool {
        match self {
            Self::Permanent => true,
            Self::Transient => exit == ExitKind::Failed,
            Self::Temporary => false,
        }
    }
}

/// How a child ended, as far as the policy cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitKind {
    /// By its own decision.
    Finished,
    /// It panicked, did not become ready in time, or did not answer a probe.
    Failed,
}

/// Whom the failure of one child concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The failed child alone.
    OneForOne,
    /// The failed child and whoever was started after it.
    RestForOne,
    /// All children.
    OneForAll,
}

impl Strategy {
    /// The children that go down when the one at `failed` of `count` fails, itself included. They are stopped from
    /// the last to the first and started from the first to the last.
    pub fn concerned(self, failed: usize, count: usize) -> Range<usize> {
        match self {
            Self::OneForOne => failed..failed + 1,
            Self::RestForOne => failed..count,
            Self::OneForAll => 0..count,
        }
    }

    /// Whether a child may rely on the children before it, so that it is started only while they all serve.
    pub fn children_depend(self) -> bool {
        self != Self::OneForOne
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ExitKind, Restart, Strategy};

    proptest! {
        #[test]
        fn the_failed_child_is_always_concerned_and_nobody_beyond_the_last(count in 1..50usize, at in 0..50usize) {
            let failed = at % count;
            for strategy in [Strategy::OneForOne, Strategy::RestForOne, Strategy::OneForAll] {
                let concerned = strategy.concerned(failed, count);
                prop_assert!(concerned.contains(&failed) && concerned.end <= count);
            }
            prop_assert_eq!(Strategy::OneForOne.concerned(failed, count).len(), 1);
            prop_assert_eq!(Strategy::RestForOne.concerned(failed, count).len(), count - failed);
            prop_assert_eq!(Strategy::OneForAll.concerned(failed, count).len(), count);
        }
    }

    #[test]
    fn which_exits_are_answered_by_a_restart() {
        use ExitKind::{Failed, Finished};
        let wanted = |restart: Restart| [restart.wants(Finished), restart.wants(Failed)];
        assert_eq!(wanted(Restart::Permanent), [true, true]);
        assert_eq!(wanted(Restart::Transient), [false, true]);
        assert_eq!(wanted(Restart::Temporary), [false, false]);
    }
}
