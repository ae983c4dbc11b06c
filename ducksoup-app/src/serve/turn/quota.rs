// SPDX-License-Identifier: MPL-2.0

//! How many may have what: allocations and TCP connections, of one user, one address and all.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Allocations of one credential. Ours: a browser makes one for each of its networks and each of
/// the two URLs; a laptop with two networks and a tunnel has six.
const PER_USER: usize = 16;
/// Allocations of one address, and connections. Ours: a laboratory of sixty behind one translator,
/// four each; a host that joins again and again, or connects and says nothing, gets no more.
const PER_ADDRESS: usize = 256;
/// Open files that are not for TURN: the door's sockets and the stages' pipes
/// ([`MAX_SOCKETS`](super::super::limits::MAX_SOCKETS)).
const FILES_OF_OTHERS: u64 = 896;
/// Open files that are asked for. Ours: allocations for as many participants as have a socket.
pub(super) const FILES_WANTED: u64 = 4096;

/// How much there is of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Allocations.
    pub(super) allocations: usize,
    /// TCP connections.
    pub(super) connections: usize,
}

impl Bounds {
    /// What a process may have that may open so many files: one for each allocation, one for each
    /// connection.
    pub(super) fn of(files: u64) -> Self {
        let half = files.min(FILES_WANTED).saturating_sub(FILES_OF_OTHERS) / 2;
        let each = usize::try_from(half).unwrap_or(usize::MAX).max(64);
        Self { allocations: each, connections: each }
    }
}

/// Why there is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    /// This user, or this address, has enough.
    #[error("the user has enough")]
    User,
    /// All have together.
    #[error("all is used up")]
    All,
}

#[derive(Debug, Default)]
struct Taken {
    users: HashMap<String, usize>,
    addresses: HashMap<IpAddr, usize>,
    ports: BTreeSet<u16>,
    all: usize,
}

/// Counts allocations, or connections.
#[derive(Debug)]
pub(super) struct Quota {
    all: usize,
    per_user: usize,
    /// Held for a few instructions each time.
    taken: Mutex<Taken>,
}

/// One's place; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    quota: Arc<Quota>,
    user: String,
    address: IpAddr,
    port: Option<u16>,
}

impl Quota {
    /// For allocations.
    pub(super) fn of_allocations(bounds: Bounds) -> Arc<Self> {
        Self::new(bounds.allocations, PER_USER)
    }

    /// For connections, of which nobody knows yet whose they are.
    pub(super) fn of_connections(bounds: Bounds) -> Arc<Self> {
        Self::new(bounds.connections, usize::MAX)
    }

    fn new(all: usize, per_user: usize) -> Arc<Self> {
        Arc::new(Self { all, per_user, taken: Mutex::default() })
    }

    /// A place for that user, at that address.
    ///
    /// # Errors
    /// When the user, the address, or all together, have enough.
    pub(super) fn take(self: &Arc<Self>, user: &str, address: IpAddr) -> Result<Place, Full> {
        let mut taken = self.taken();
        if taken.all >= self.all {
            return Err(Full::All);
        }
        let of_user = taken.users.get(user).copied().unwrap_or_default();
        let of_address = taken.addresses.get(&address).copied().unwrap_or_default();
        if of_user >= self.per_user || of_address >= PER_ADDRESS {
            return Err(Full::User);
        }
        taken.users.insert(user.to_owned(), of_user + 1);
        taken.addresses.insert(address, of_address + 1);
        taken.all += 1;
        Ok(Place { quota: Arc::clone(self), user: user.to_owned(), address, port: None })
    }

    /// Whether that port is one that is relayed *from*: between two allocations nothing passes.
    pub(super) fn is_relay(&self, port: u16) -> bool {
        self.taken().ports.contains(&port)
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Notes the port that is relayed from.
    pub(super) fn has_port(&mut self, port: u16) {
        self.port = Some(port);
        self.quota.taken().ports.insert(port);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.quota.taken();
        taken.all -= 1;
        if let Some(port) = self.port {
            taken.ports.remove(&port);
        }
        give_back(&mut taken.users, &self.user);
        give_back(&mut taken.addresses, &self.address);
    }
}

/// One less; none is forgotten.
fn give_back<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn one_user_and_all_users_have_a_bound_and_get_back_what_they_give_back() {
        let quota = Quota::new(PER_USER + 2, PER_USER);
        let take = |user| quota.take(user, ip(1));
        let mut of_a: Vec<_> = (0..PER_USER).map(|_| take("a").expect("a place")).collect();
        assert_eq!(take("a").err(), Some(Full::User));
        let of_b = [take("b"), take("b")];
        assert!(of_b.iter().all(Result::is_ok));
        assert_eq!(take("c").err(), Some(Full::All));
        of_a.pop();
        assert!(take("a").is_ok());
        drop((of_a, of_b));
        let taken = quota.taken();
        assert_eq!(taken.all, 0);
        assert!(taken.users.is_empty() && taken.addresses.is_empty(), "no memory of it");
    }

    #[test]
    fn one_address_has_a_bound_whatever_users_it_invents() {
        let quota = Quota::new(PER_ADDRESS + 10, PER_USER);
        let take = |user: usize, address| quota.take(&user.to_string(), address);
        let places: Vec<_> = (0..PER_ADDRESS).map(|user| take(user, ip(1))).collect();
        assert!(places.iter().all(Result::is_ok));
        assert_eq!(take(1000, ip(1)).err(), Some(Full::User));
        assert!(take(1000, ip(2)).is_ok());
    }

    #[test]
    fn ports_of_allocations_are_known_as_long_as_they_last() {
        let quota = Quota::of_allocations(Bounds::of(1024));
        let mut place = quota.take("a", ip(1)).expect("a place");
        place.has_port(40_000);
        assert!(quota.is_relay(40_000) && !quota.is_relay(40_001));
        drop(place);
        assert!(!quota.is_relay(40_000));
    }

    #[test]
    fn the_bounds_leave_files_for_the_rest_of_the_door() {
        for (files, each) in [(0, 64), (1024, 64), (2048, 576), (4096, 1600), (1 << 30, 1600)] {
            assert_eq!(Bounds::of(files), Bounds { allocations: each, connections: each });
        }
    }
}
