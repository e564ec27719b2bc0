//! What a run cost: CPU time of the process, wall time, resident memory.
//!
//! The rule: CPU time is the figure to compare, as other work shares the cores; it holds every thread of the process: committer,
//! compaction, compilation.

use std::time::Duration;

use pelton::clock::{Clock, SystemClock};
use rustix::time::{ClockId, clock_gettime};

/// A stop watch for both times.
pub struct Watch {
    clock: SystemClock,
    cpu: Duration,
}

/// Seconds that passed.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub cpu_s: f64,
    pub wall_s: f64,
}

fn cpu() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(spent.tv_sec).expect("CPU time is not negative");
    let nanos = u32::try_from(spent.tv_nsec).expect("nanoseconds are below a second");
    Duration::new(seconds, nanos)
}

impl Watch {
    pub fn start() -> Self {
        Self { clock: SystemClock::new(), cpu: cpu() }
    }

    pub fn stop(&self) -> Spent {
        Spent { cpu_s: (cpu() - self.cpu).as_secs_f64(), wall_s: self.clock.elapsed().as_secs_f64() }
    }
}

/// Resident memory in KiB, where the system says it.
pub fn resident_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Smallest, middle and largest of some figures.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(mut figures: Vec<f64>) -> Option<Self> {
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        Some(Self { min, median: figures[figures.len() / 2], max })
    }
}
