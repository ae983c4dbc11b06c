// SPDX-License-Identifier: MPL-2.0

//! What the server takes of this machine: the process that listens on the port, and its stages,
//! by `/proc`.

use super::usage::Process;
use procfs::net::{TcpNetEntry, TcpState};
use procfs::process::FDTarget;
use std::collections::HashSet;
use std::time::Duration;

/// A process whose descendants belong to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family {
    root: i32,
}

impl Family {
    /// The process of this machine that listens on a TCP port; `None` when there is none, or
    /// when it belongs to somebody else and we may not look into it.
    pub(crate) fn listening_on(port: u16) -> Option<Self> {
        let v4 = procfs::net::tcp().unwrap_or_default();
        let v6 = procfs::net::tcp6().unwrap_or_default();
        let listens = |entry: &&TcpNetEntry| {
            entry.state == TcpState::Listen && entry.local_address.port() == port
        };
        let inodes: HashSet<u64> =
            v4.iter().chain(&v6).filter(listens).map(|entry| entry.inode).collect();
        if inodes.is_empty() {
            return None;
        }
        let owns = |process: &procfs::process::Process| {
            process.fd().is_ok_and(|mut descriptors| {
                descriptors.any(|descriptor| {
                    matches!(descriptor.map(|descriptor| descriptor.target),
                        Ok(FDTarget::Socket(inode)) if inodes.contains(&inode))
                })
            })
        };
        let mut all = procfs::process::all_processes().ok()?.flatten();
        all.find(owns).map(|process| Self { root: process.pid })
    }

    /// This process, alone or with its descendants.
    pub(crate) fn own() -> Self {
        Self { root: i32::try_from(std::process::id()).unwrap_or_default() }
    }

    /// The processes at this moment, its descendants included; none when it has ended.
    pub(crate) fn processes(self) -> Vec<Process> {
        let stats: Vec<procfs::process::Stat> = procfs::process::all_processes()
            .into_iter()
            .flatten()
            .filter_map(|process| process.ok()?.stat().ok())
            .collect();
        let mut family = vec![self.root];
        let mut next = 0;
        while let Some(parent) = family.get(next).copied() {
            let children = stats.iter().filter(|stat| stat.ppid == parent);
            family.extend(children.map(|stat| stat.pid));
            next += 1;
        }
        let ours = stats.iter().filter(|stat| family.contains(&stat.pid));
        ours.map(look).collect()
    }
}

fn look(stat: &procfs::process::Stat) -> Process {
    let ticks = procfs::ticks_per_second().max(1);
    let cpu = (stat.utime + stat.stime) as f64 / ticks as f64;
    let descriptors = procfs::process::Process::new(stat.pid)
        .and_then(|process| process.fd_count())
        .ok()
        .map(|count| count as u64);
    Process {
        pid: stat.pid,
        cpu: Duration::from_secs_f64(cpu),
        memory: stat.rss * procfs::page_size(),
        threads: u64::try_from(stat.num_threads).unwrap_or_default(),
        descriptors,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listener_is_found_by_its_port_and_looked_into() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let family = Family::listening_on(listener.local_addr().unwrap().port()).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(family.root, own);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let processes = family.processes();
        let find = |pid| processes.iter().find(|process| process.pid == pid).copied();
        let (found, sleeper) = (find(own).unwrap(), find(pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(sleeper.is_some(), "its child belongs to it");
        assert!(found.memory > 1 << 20 && found.memory < 1 << 34, "{found:?}");
        assert!(found.threads >= 1 && found.descriptors.unwrap() >= 3, "{found:?}");
    }

    #[test]
    fn where_nobody_listens_there_is_nothing_to_see() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(Family::listening_on(port).is_none());
    }
}
