// SPDX-License-Identifier: MPL-2.0

//! What processes cost, as `/proc` tells it, from look to look.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;

/// What a process has used when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Used {
    /// CPU time, in s.
    cpu: f64,
    at: Instant,
}

/// Remembers the last look at each process.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    before: BTreeMap<i32, Used>,
}

impl Meter {
    /// The cost of these processes now; one that is gone has none.
    ///
    /// `cpu` is the share of one core since the last look (nothing at the first), `memory` is in
    /// bytes, resident.
    pub(crate) fn look(&mut self, processes: &[i32], now: Instant) -> BTreeMap<i32, Value> {
        let mut seen = BTreeMap::new();
        let mut costs = BTreeMap::new();
        for &pid in processes {
            let Some(stat) = procfs::process::Process::new(pid).and_then(|one| one.stat()).ok()
            else {
                continue;
            };
            #[allow(clippy::cast_precision_loss)] // ticks of a process are below 2^53
            let cpu = (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64;
            let used = Used { cpu, at: now };
            let cost = json!({
                "cpu": self.before.get(&pid).and_then(|before| share(*before, used)),
                "memory": stat.rss * procfs::page_size(),
                "threads": stat.num_threads,
            });
            seen.insert(pid, used);
            costs.insert(pid, cost);
        }
        self.before = seen;
        costs
    }
}

/// The share of one core between two looks, to a thousandth.
fn share(before: Used, now: Used) -> Option<f64> {
    let seconds = now.at.checked_duration_since(before.at)?.as_secs_f64();
    // A process id that begins anew has used less.
    let used = now.cpu - before.cpu;
    (seconds > 0.0 && used >= 0.0).then(|| (used / seconds * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_share_is_cpu_time_over_time() {
        let at = Instant::now();
        let used = |cpu, seconds| Used { cpu, at: at + Duration::from_secs_f64(seconds) };
        assert_eq!(share(used(1.0, 0.0), used(1.5, 2.0)), Some(0.25));
        assert_eq!(share(used(1.0, 0.0), used(3.0, 1.0)), Some(2.0));
        assert_eq!(share(used(1.0, 0.0), used(1.0, 0.0)), None);
        assert_eq!(share(used(1.0, 0.0), used(0.5, 1.0)), None);
    }

    #[test]
    fn this_process_has_a_cost_and_one_that_is_gone_has_none() {
        let own = i32::try_from(std::process::id()).expect("a process id");
        let mut meter = Meter::default();
        let now = Instant::now();
        let first = meter.look(&[own, i32::MAX], now);
        assert_eq!(first.len(), 1);
        assert!(first[&own]["memory"].as_u64().expect("bytes") > 100_000);
        assert_eq!(first[&own]["cpu"], Value::Null);
        let second = meter.look(&[own], now + Duration::from_secs(1));
        assert!(second[&own]["cpu"].as_f64().expect("a share") >= 0.0);
    }
}
