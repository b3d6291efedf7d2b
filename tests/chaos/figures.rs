//! What the reader saw, in numbers.
//!
//! A **kill window** begins with a `kill -9` of petald. It ends when the reader has found every record stored anew
//! after the kill, and [`LONGEST_WINDOW`] later at most. Looks that began within it are counted apart.
//!
//! The reader searches as hivemind does, and a search through peers that die may itself fail. So whatever it misses is asked
//! for once more, of every peer there is: if all of it was there, the look is the reader's failure, and counted apart.

use std::fmt;

use super::outposts::Look;

/// Whoever is away for longer than this, in seconds, is counted as not found.
pub(crate) const LONGEST_WINDOW: f64 = 10.0;

/// The part of all looks in which the reader itself may fail: a search of hivemind's through peers that are being killed
/// may take longer than anybody's patience.
const MOST_UNFIT: f64 = 0.01;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Unix times.
    pub(crate) from: f64,
    pub(crate) until: f64,
}

#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) looks: usize,
    /// In windows, and of those found.
    pub(crate) excluded: usize,
    pub(crate) excluded_found: usize,
    pub(crate) found: usize,
    /// The reader's own search did not end, or it knew nobody: looks that are no looks, outside of all windows.
    pub(crate) unfit: Vec<Look>,
    pub(crate) slowest: f64,
    pub(crate) missed: Vec<Look>,
}

impl Figures {
    pub(crate) fn of(looks: &[Look], windows: &[Window]) -> Figures {
        let mut figures = Figures { looks: looks.len(), ..Figures::default() };
        for look in looks {
            figures.slowest = figures.slowest.max(look.took);
            if windows.iter().any(|window| (window.from..window.until).contains(&look.at)) {
                figures.excluded += 1;
                figures.excluded_found += usize::from(look.found());
            } else if look.found() {
                figures.found += 1;
            } else if look.stuck.is_some() || look.known == 0 {
                figures.unfit.push(look.clone());
            } else {
                figures.missed.push(look.clone());
            }
        }
        figures
    }

    /// The part of the looks outside of all windows that found every record.
    pub(crate) fn visible(&self) -> f64 {
        self.found as f64 / self.counted().max(1) as f64
    }

    fn counted(&self) -> usize {
        self.found + self.missed.len()
    }

    /// Too many looks were none to judge by the others.
    pub(crate) fn is_fit(&self) -> bool {
        self.unfit.len() as f64 <= MOST_UNFIT * self.looks as f64
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} looks outside of kill windows found every record ({:.2} %); within them {} of {}; \
             {} looks in which the reader itself failed; slowest look {:.1} s",
            self.found,
            self.counted(),
            100.0 * self.visible(),
            self.excluded_found,
            self.excluded,
            self.unfit.len(),
            self.slowest,
        )
    }
}
