// SPDX-License-Identifier: MPL-2.0

//! What a group of processes takes of a machine over time. Pure.

use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// One process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its number.
    pub(crate) pid: i32,
    /// CPU time since it was started.
    pub(crate) cpu: Duration,
    /// Resident memory, in bytes.
    pub(crate) memory: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// Open descriptors; `None` when we may not look.
    pub(crate) descriptors: Option<u64>,
}

/// The figures of a group of processes, all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub(crate) struct Usage {
    /// CPU time in seconds since the first look. What a process uses after the last look before it
    /// ends is not seen.
    pub(crate) cpu_seconds: f64,
    /// Processors in use on average, 1.0 is one.
    pub(crate) cores_mean: f64,
    /// Processors in use between two looks, at most.
    pub(crate) cores_peak: f64,
    /// Largest resident memory in bytes; pages that processes share count for each.
    pub(crate) memory_peak: u64,
    /// Most threads.
    pub(crate) threads_peak: u64,
    /// Most open descriptors, of the processes that could be looked into.
    pub(crate) descriptors_peak: u64,
    /// Most processes.
    pub(crate) processes_peak: u64,
}

/// Adds up what is seen of a group of processes.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    known: BTreeMap<i32, Duration>,
    since: Option<Duration>,
    last: Duration,
    cpu: Duration,
    usage: Usage,
}

impl Watch {
    /// A look at the group.
    pub(crate) fn look(&mut self, now: Duration, processes: &[Process]) {
        let Some(since) = self.since else {
            // What was used before the first look is not ours.
            self.since = Some(now);
            self.last = now;
            self.known = processes.iter().map(|process| (process.pid, process.cpu)).collect();
            self.peaks(processes);
            return;
        };
        let mut used = Duration::ZERO;
        for process in processes {
            let before = self.known.insert(process.pid, process.cpu).unwrap_or_default();
            // A number that is given to another process begins anew.
            used += process.cpu.checked_sub(before).unwrap_or(process.cpu);
        }
        self.known.retain(|pid, _| processes.iter().any(|process| process.pid == *pid));
        let cores = |used: Duration, time: Duration| {
            if time.is_zero() { 0.0 } else { used.as_secs_f64() / time.as_secs_f64() }
        };
        self.cpu += used;
        self.usage.cpu_seconds = self.cpu.as_secs_f64();
        self.usage.cores_mean = cores(self.cpu, now.saturating_sub(since));
        let peak = cores(used, now.saturating_sub(self.last));
        self.usage.cores_peak = self.usage.cores_peak.max(peak);
        self.last = now;
        self.peaks(processes);
    }

    fn peaks(&mut self, processes: &[Process]) {
        let sum = |value: fn(&Process) -> u64| processes.iter().map(value).sum::<u64>();
        let usage = &mut self.usage;
        usage.memory_peak = usage.memory_peak.max(sum(|process| process.memory));
        usage.threads_peak = usage.threads_peak.max(sum(|process| process.threads));
        let descriptors = sum(|process| process.descriptors.unwrap_or(0));
        usage.descriptors_peak = usage.descriptors_peak.max(descriptors);
        usage.processes_peak = usage.processes_peak.max(processes.len() as u64);
    }

    /// The figures so far; `None` before the first look.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.since.map(|_| self.usage)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn process(pid: i32, cpu: u64, memory: u64) -> Process {
        let cpu = Duration::from_millis(cpu);
        Process { pid, cpu, memory, threads: 10, descriptors: Some(20) }
    }

    fn s(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn processes_that_come_and_go_are_added_up() {
        let mut watch = Watch::default();
        assert_eq!(watch.usage(), None);
        watch.look(s(5), &[process(1, 9000, 100)]);
        watch.look(s(6), &[process(1, 9500, 120), process(2, 1000, 50)]);
        watch.look(s(7), &[process(1, 9600, 110)]);
        watch.look(s(9), &[process(1, 9600, 110), process(2, 200, 10), process(3, 0, 0)]);
        let usage = watch.usage().unwrap();
        assert!((usage.cpu_seconds - 1.8).abs() < 1e-9, "{usage:?}");
        assert!((usage.cores_mean - 0.45).abs() < 1e-9);
        assert!((usage.cores_peak - 1.5).abs() < 1e-9);
        assert_eq!((usage.memory_peak, usage.processes_peak), (170, 3));
        assert_eq!((usage.threads_peak, usage.descriptors_peak), (30, 60));
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let mut watch = Watch::default();
        watch.look(s(0), &[process(1, 9000, 0)]);
        watch.look(s(1), &[process(1, 300, 0)]);
        assert!((watch.usage().unwrap().cpu_seconds - 0.3).abs() < 1e-9);
    }

    #[test]
    fn what_may_not_be_looked_into_counts_nothing() {
        let mut watch = Watch::default();
        watch.look(s(0), &[Process { descriptors: None, ..process(1, 0, 0) }]);
        assert_eq!(watch.usage().unwrap().descriptors_peak, 0);
    }
}
