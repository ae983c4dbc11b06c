// SPDX-License-Identifier: MPL-2.0

//! UDP ports of this machine, and waiting for any of them.

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

/// Bytes that one may hold while its thread does not run: half a second of 60 Mbit/s.
const BACKLOG: usize = 4 * 1024 * 1024;

/// A port at the address of `server`, which is on this machine; it never blocks.
///
/// # Errors
/// When it is not, or no port can be had.
pub(crate) fn open(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(server.ip(), 0))?;
    socket.set_nonblocking(true)?;
    // More than the system's limit is for the superuser; less is enough on a quiet machine.
    if rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BACKLOG).is_err() {
        rustix::net::sockopt::set_socket_recv_buffer_size(&socket, BACKLOG)?;
    }
    Ok(socket)
}

/// Wakes a thread that waits for packets.
#[derive(Debug, Clone)]
pub(crate) struct Bell(Arc<OwnedFd>);

impl Bell {
    /// One that is silent.
    ///
    /// # Errors
    /// When no descriptor can be had.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        Ok(Self(Arc::new(eventfd(0, flags)?)))
    }

    /// Wakes the thread, now or when it next waits.
    pub(crate) fn ring(&self) {
        // It fails when it has been rung 2⁶⁴ times.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Waits for a ring or for a packet at one of these; `None` waits for ever. Exact to some µs,
    /// where tokio's timers go by the millisecond.
    ///
    /// # Errors
    /// When there are too many.
    pub(crate) fn wait<'a>(
        &self,
        sockets: impl Iterator<Item = &'a UdpSocket>,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        let ports = sockets.map(|socket| PollFd::new(socket, PollFlags::IN));
        let mut all: Vec<PollFd<'_>> =
            std::iter::once(PollFd::new(&self.0, PollFlags::IN)).chain(ports).collect();
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        match poll(&mut all, limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if !all[0].revents().is_empty() {
            // Silent again.
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
        }
        Ok(())
    }
}
