//! The hunt for planted bugs: each must be seen by some seed.

#[cfg(openclaw_planted)]
pub(crate) use self::hunting::hunt;

/// Says how to get a build that can hunt.
#[cfg(not(openclaw_planted))]
pub(crate) fn hunt(_seeds: u64) -> bool {
    println!("this build has no planted bugs; build it with RUSTFLAGS=\"--cfg openclaw_planted\"");
    false
}

#[cfg(openclaw_planted)]
mod hunting {
    use std::sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    };

    use openclaw_core::planted::{Bug, plant};
    use openclaw_testkit::sim::Workload;
    use serde_json::json;

    use crate::campaign::sim_of;

    /// Messages of a run with little to do.
    const FEW: u32 = 12;

    /// The first seed that sees the bug, with what it saw.
    fn find(bug: Bug, seeds: u64) -> Option<(u64, String)> {
        (0..seeds).find_map(|seed| {
            // Bugs are planted for the thread, and a run is one thread.
            plant(Some(bug));
            let report = sim_of(seed, false).run();
            // With little to do a drain finishes more often.
            let light = || sim_of(seed, false).workload(Workload::mix().messages(FEW)).run();
            let report = if report.is_ok() { light() } else { report };
            plant(None);
            Some((seed, report.violations.into_iter().next()?))
        })
    }

    /// Looks for every planted bug; false when one was not seen.
    pub(crate) fn hunt(seeds: u64) -> bool {
        let missed = Mutex::new(Vec::new());
        let (next, worst) = (AtomicUsize::new(0), AtomicU64::new(0));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    while let Some(bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if let Some((seed, why)) = find(*bug, seeds) {
                            worst.fetch_max(seed, Ordering::Relaxed);
                            println!("{:<24} seed {seed:>3}: {why}", bug.name());
                        } else {
                            println!("{:<24} not seen: {}", bug.name(), bug.broken());
                            missed.lock().unwrap_or_else(PoisonError::into_inner).push(bug.name());
                        }
                    }
                });
            }
        });
        let missed = missed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let caught =
            if missed.is_empty() { json!("all") } else { json!(Bug::ALL.len() - missed.len()) };
        let worst = worst.into_inner();
        let line = json!({
            "planted": Bug::ALL.len(),
            "caught": caught,
            "missed": missed,
            "worst_seed": worst,
        });
        println!("{line}");
        missed.is_empty()
    }
}
