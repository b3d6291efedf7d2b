//! What the system says of this process, read from `/proc` when somebody asks.

use std::fs;

use rustix::{
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};
use serde::{Deserialize, Serialize};

/// Figures of this process. `None` where the system does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Memory that it occupies, in bytes.
    pub resident_bytes: Option<u64>,
    /// Descriptors that it has open.
    pub open_fds: Option<u64>,
    /// Descriptors that it may have open.
    pub max_fds: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Time that it has kept a processor busy.
    pub cpu_seconds: f64,
}

impl Process {
    /// How things are now.
    pub(super) fn look() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            resident_bytes: field(&status, "VmRSS:").map(|kib| kib * 1024),
            // One of them is the folder that is being read.
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|fds| (fds.count() as u64).saturating_sub(1)),
            max_fds: getrlimit(Resource::Nofile).current,
            threads: field(&status, "Threads:"),
            cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        }
    }
}

/// The number of a line such as `VmRSS:     1234 kB`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_all_of_it_and_descriptors_are_counted() {
        let before = Process::look();
        assert!(before.resident_bytes > Some(1 << 20) && before.threads >= Some(1), "{before:?}");
        assert!(before.max_fds >= before.open_fds && before.cpu_seconds > 0.0, "{before:?}");
        let opened: Vec<_> = (0..50).map(|_| fs::File::open("/proc/self/status").unwrap()).collect();
        // Other tests open and close some beside.
        assert!(Process::look().open_fds >= before.open_fds.map(|fds| fds + 25));
        drop(opened);
    }
}
