// SPDX-License-Identifier: MPL-2.0

//! Connections, plain or TLS, up to the routes: HTTP/1.1, WebSockets by upgrade. Whoever says
//! nothing, or says it slowly, loses its place when its time is over ([`Limits`]).

use super::limits::{Limits, MAX_CONNECTIONS};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Socket, Type};
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use warp::filters::BoxedFilter;
use warp::hyper::server::conn::http1;

/// Connections that may wait to be accepted. Tokio's own number.
const BACKLOG: i32 = 1024;
/// How long nothing is accepted after the system refused (no more open files). Ours.
const PAUSE: Duration = Duration::from_secs(1);

type Routes = BoxedFilter<(warp::reply::Response,)>;

/// Listens on every address of the machine, IPv6 and IPv4; where there is no IPv6, on IPv4 only.
/// Inside a Tokio runtime.
///
/// # Errors
/// When the port is taken, or may not be listened on.
pub fn bind(port: u16) -> io::Result<TcpListener> {
    listen((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
        _ => listen((Ipv4Addr::UNSPECIFIED, port).into()),
    })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    // A server that is started again must not wait for connections of the last one.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Serves these routes until `stop` is told or dropped; then ends when the last request is
/// answered. Upgraded connections are no longer counted.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    routes: Routes,
    limits: Limits,
    mut stop: oneshot::Receiver<()>,
) {
    let (stopping, stopped) = watch::channel(());
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            listener.accept().await.map(|(stream, _)| (stream, place))
        };
        let next = tokio::select! {
            next = next => next,
            _ = &mut stop => break,
        };
        match next {
            Ok((stream, place)) => {
                let connection =
                    connection(stream, tls.clone(), routes.clone(), limits, stopped.clone());
                tokio::spawn(async move {
                    // What goes wrong here concerns a client that is gone, or that speaks no HTTP.
                    if let Err(error) = connection.await {
                        log::debug!(context = "server", error:% = error; "connection_failed");
                    }
                    drop(place);
                });
            }
            // The client's own end: the next one is not concerned.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                log::error!(context = "server", error:% = error; "accept_failed");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop((listener, stopped));
    // Nobody there to be told is as good.
    let _ = stopping.send(());
    stopping.closed().await;
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    routes: Routes,
    limits: Limits,
    mut stop: watch::Receiver<()>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // Signalling is small words that somebody waits for.
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        return requests(stream, routes, limits, stop).await;
    };
    let stream = tokio::select! {
        stream = timeout(limits.handshake, tls.accept(stream)) => stream??,
        _ = stop.changed() => return Ok(()),
    };
    requests(stream, routes, limits, stop).await
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    routes: Routes,
    limits: Limits,
    mut stop: watch::Receiver<()>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // Not hyper-util's `auto`: it waits for the first byte without a limit.
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(warp::service(routes)))
            .with_upgrades()
    );
    let until = Instant::now() + limits.connection;
    tokio::select! {
        ended = timeout_at(until, connection.as_mut()) => return Ok(ended??),
        _ = stop.changed() => connection.as_mut().graceful_shutdown(),
    }
    Ok(timeout_at(until, connection).await??)
}
