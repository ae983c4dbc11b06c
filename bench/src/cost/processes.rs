// SPDX-License-Identifier: MPL-2.0

//! What processes of this machine have used, by `/proc`.

use anyhow::Context as _;
use std::time::{Duration, Instant};

/// Longest wait for processes that are to end: a stage finishes its files.
const END: Duration = Duration::from_secs(20);

/// A process and all that descend from it, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Family {
    /// When.
    pub(crate) at: Instant,
    /// Those who live.
    pub(crate) members: Vec<Member>,
    /// CPU time of children that have ended and were waited for, in s.
    pub(crate) ended: f64,
}

/// One process.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Member {
    /// Its number.
    pub(crate) pid: i32,
    /// CPU time since its beginning, in s.
    pub(crate) cpu: f64,
    /// Threads.
    pub(crate) threads: u64,
    /// Resident memory in bytes; what processes share counts for each.
    pub(crate) memory: u64,
}

impl Family {
    /// Looks.
    ///
    /// # Errors
    /// When there is no `/proc`.
    pub(crate) fn of(root: u32) -> anyhow::Result<Self> {
        let root = i32::try_from(root)?;
        let all = procfs::process::all_processes().context("/proc")?;
        let stats: Vec<_> = all.flatten().filter_map(|process| process.stat().ok()).collect();
        let at = Instant::now();
        let mut family = vec![root];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            family.extend(stats.iter().filter(|stat| stat.ppid == parent).map(|stat| stat.pid));
            next += 1;
        }
        let ticks = procfs::ticks_per_second() as f64;
        let ours = || stats.iter().filter(|stat| family.contains(&stat.pid));
        let members = ours().map(|stat| Member {
            pid: stat.pid,
            cpu: (stat.utime + stat.stime) as f64 / ticks,
            threads: u64::try_from(stat.num_threads).unwrap_or_default(),
            memory: stat.rss * procfs::page_size(),
        });
        let ended = ours().map(|stat| (stat.cutime + stat.cstime) as f64 / ticks).sum();
        Ok(Self { at, members: members.collect(), ended })
    }

    /// CPU seconds of all.
    fn cpu(&self) -> f64 {
        self.members.iter().map(|member| member.cpu).sum::<f64>() + self.ended
    }

    /// CPU seconds since an earlier look.
    pub(crate) fn used(&self, earlier: &Self) -> f64 {
        self.cpu() - earlier.cpu()
    }

    /// CPU seconds a second since an earlier look.
    pub(crate) fn cores(&self, earlier: &Self) -> f64 {
        self.used(earlier) / self.at.duration_since(earlier.at).as_secs_f64()
    }

    /// Threads of all.
    pub(crate) fn threads(&self) -> u64 {
        self.members.iter().map(|member| member.threads).sum()
    }

    /// Resident memory of all, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.members.iter().map(|member| member.memory).sum()
    }

    /// Who used the most.
    pub(crate) fn busiest(&self) -> Option<Member> {
        self.members.iter().copied().max_by(|one, other| one.cpu.total_cmp(&other.cpu))
    }

    /// Waits until none of them is left, so that what comes next is alone.
    ///
    /// # Errors
    /// When one does not end.
    pub(crate) fn wait_for_end(&self) -> anyhow::Result<()> {
        let since = Instant::now();
        let lives = |member: &Member| {
            let state =
                procfs::process::Process::new(member.pid).and_then(|process| process.stat());
            state.is_ok_and(|stat| stat.state != 'Z')
        };
        while self.members.iter().any(lives) {
            anyhow::ensure!(since.elapsed() < END, "a process of the server does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_child_belongs_to_the_family_until_it_ends() {
        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let family = Family::of(own).unwrap();
        let found = family.members.iter().find(|member| member.pid == pid);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found.is_some_and(|child| child.threads == 1));
        assert!(family.threads() >= 2 && family.memory() > 0);
        let gone = Family { members: vec![*found.unwrap()], ..family };
        gone.wait_for_end().unwrap();
    }
}
