//! Whether the model server is well, as data: single checks go in, and it changes its mind only after several in a row.

use std::num::NonZeroU32;

/// How many checks in a row it takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Thresholds {
    pub(super) healthy_after: NonZeroU32,
    pub(super) unhealthy_after: NonZeroU32,
}

/// What is thought of the model server.
#[derive(Debug)]
pub(super) struct Verdict {
    thresholds: Thresholds,
    healthy: bool,
    successes: u32,
    failures: u32,
}

impl Verdict {
    /// Nothing is known, so nothing is claimed.
    pub(super) fn unknown(thresholds: Thresholds) -> Self {
        Self { thresholds, healthy: false, successes: 0, failures: 0 }
    }

    /// It was well a moment ago, and who knew more of it is gone: one failure is enough to change that.
    pub(super) fn on_probation(thresholds: Thresholds) -> Self {
        let failures = thresholds.unhealthy_after.get() - 1;
        Self { thresholds, healthy: true, successes: 0, failures }
    }

    /// Other thresholds, from the next check on.
    pub(super) fn be_as_patient_as(&mut self, thresholds: Thresholds) {
        self.thresholds = thresholds;
    }

    /// Takes in one check. True if that changed the verdict.
    pub(super) fn note(&mut self, success: bool) -> bool {
        (self.successes, self.failures) = match success {
            true => (self.successes.saturating_add(1), 0),
            false => (0, self.failures.saturating_add(1)),
        };
        let before = self.healthy;
        self.healthy = match before {
            true => self.failures < self.thresholds.unhealthy_after.get(),
            false => self.successes >= self.thresholds.healthy_after.get(),
        };
        before != self.healthy
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// In a row, up to now.
    pub(super) fn successes(&self) -> u32 {
        self.successes
    }

    /// In a row, up to now.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn thresholds(healthy_after: u32, unhealthy_after: u32) -> Thresholds {
        Thresholds {
            healthy_after: healthy_after.try_into().unwrap(),
            unhealthy_after: unhealthy_after.try_into().unwrap(),
        }
    }

    #[test]
    fn on_probation_one_failure_is_enough_and_one_success_ends_it() {
        let mut verdict = Verdict::on_probation(thresholds(2, 3));
        assert!(verdict.is_healthy() && verdict.note(false) && !verdict.is_healthy());
        let mut verdict = Verdict::on_probation(thresholds(2, 3));
        assert!(!verdict.note(true) && !verdict.note(false) && !verdict.note(false) && verdict.note(false));
    }

    proptest! {
        #[test]
        fn it_changes_exactly_when_the_last_checks_agree(
            checks in prop::collection::vec(any::<bool>(), 0..100), healthy_after in 1u32..5, unhealthy_after in 1u32..5,
        ) {
            let mut verdict = Verdict::unknown(thresholds(healthy_after, unhealthy_after));
            let mut expected = false;
            for end in 1..=checks.len() {
                let wanted = if expected { unhealthy_after } else { healthy_after } as usize;
                let last = &checks[end.saturating_sub(wanted)..end];
                let changes = last.len() == wanted && last.iter().all(|success| *success != expected);
                expected ^= changes;
                prop_assert_eq!(verdict.note(checks[end - 1]), changes);
                prop_assert_eq!(verdict.is_healthy(), expected);
            }
        }
    }
}
