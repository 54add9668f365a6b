//! The accept loop: sockets, TLS, protocol, time and connection limits (BARS F8, F9).
//!
//! Own, because `axum::serve` has no header timeout: hyper's is inert without a timer. Each connection is served by hyper's
//! HTTP/1 or HTTP/2 server as ALPN decided; hyper-util's protocol sniffing is not used, because it waits for the first bytes
//! without a limit.

mod conn;
mod io;
mod slots;
mod watch;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

pub(crate) use conn::to_its_end;
pub use slots::ConnStats;

use self::{conn::Connection, slots::Slots};
use super::{config::EdgeLimits, shutdown::Shutdown, tls::TlsConfig};

/// A socket and who may reach it.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<TlsConfig>,
}

/// Why a listener is refused.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// An internal listener that others could reach.
    #[error("{0} is not a loopback address: bind the internal listener to 127.0.0.1 or ::1")]
    NotLoopback(SocketAddr),
    /// The socket has no address.
    #[error("the socket has no local address: {0}; bind it again")]
    Socket(#[from] std::io::Error),
}

impl Listener {
    /// The API's listener: always TLS.
    ///
    /// # Errors
    /// [`BindError::Socket`].
    pub fn public(socket: TcpListener, tls: TlsConfig) -> Result<Self, BindError> {
        let address = socket.local_addr()?;
        Ok(Self { socket, address, tls: Some(tls) })
    }

    /// The listener of health, metrics and the control API: plain HTTP/1, on loopback only.
    ///
    /// # Errors
    /// [`BindError::NotLoopback`] if anybody else could reach it.
    pub fn internal(socket: TcpListener) -> Result<Self, BindError> {
        let address = socket.local_addr()?;
        if !address.ip().is_loopback() {
            return Err(BindError::NotLoopback(address));
        }
        Ok(Self { socket, address, tls: None })
    }
}

/// A running listener.
#[derive(Debug)]
pub struct ServeHandle {
    /// Where it listens.
    pub local_addr: SocketAddr,
    /// What happened to its connections so far.
    pub stats: Arc<ConnStats>,
    task: JoinHandle<()>,
}

impl ServeHandle {
    /// Resolves when the listener has stopped and its connections are drained or, after the drain time, dropped.
    pub async fn finished(self) {
        let _ = self.task.await;
    }
}

/// Serves `router` until `shutdown` fires, then drains.
#[must_use]
pub fn serve(listener: Listener, router: Router, limits: EdgeLimits, shutdown: Shutdown) -> ServeHandle {
    let local_addr = listener.address;
    let stats = Arc::new(ConnStats::default());
    let slots = Slots::new(&limits, Arc::clone(&stats));
    let shared = Arc::new(conn::Shared { router, limits, tls: listener.tls, local: local_addr });
    let task = tokio::spawn(accept_loop(listener.socket, shared, slots, shutdown));
    ServeHandle { local_addr, stats, task }
}

async fn accept_loop(socket: TcpListener, shared: Arc<conn::Shared>, slots: Slots, mut shutdown: Shutdown) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.fired() => break,
            Some(_) = tasks.join_next() => {}
            accepted = socket.accept() => match accepted {
                Ok((stream, peer)) => {
                    // No slot: the socket is closed at once, which costs the peer more than us.
                    let Some(slot) = slots.take(peer.ip()) else { continue };
                    let connection = Connection { shared: Arc::clone(&shared), peer, slot, shutdown: shutdown.clone() };
                    tasks.spawn(Box::pin(connection.run(prepare(stream))));
                }
                // Out of descriptors or a peer that went away: neither ends the service, and the first must not spin.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
    drop(socket);
    // Each connection sees the order itself and ends within the drain time.
    while tasks.join_next().await.is_some() {}
}

fn prepare(stream: TcpStream) -> TcpStream {
    // Small answers must not wait for an acknowledgement; a failure costs latency, nothing else.
    let _ = stream.set_nodelay(true);
    stream
}
