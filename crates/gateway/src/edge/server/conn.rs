//! One connection, from its first byte to its last.
//!
//! Invariant: a request that may change something runs to its end, whatever its client does: what it did and what is
//! recorded about it do not depend on whether somebody waits for the answer. Until then the connection's place is taken,
//! so that hanging up makes room for nothing more.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{Request, Response};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::{
    io::PacedIo,
    slots::Slot,
    watch::{Activity, Tracked},
};
use crate::edge::{
    client::{ConnInfo, Protocol},
    config::EdgeLimits,
    shutdown::Shutdown,
    tls::TlsConfig,
};

/// What the connections of a listener share.
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) limits: EdgeLimits,
    pub(super) tls: Option<TlsConfig>,
    pub(super) local: SocketAddr,
}

/// An accepted connection.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: SocketAddr,
    pub(super) slot: Slot,
    pub(super) shutdown: Shutdown,
}

impl Connection {
    pub(super) async fn run(self, socket: TcpStream) {
        let limits = &self.shared.limits;
        let io = PacedIo::new(socket, limits.rate_window, limits.window_bytes());
        let Some(tls) = self.shared.tls.clone() else {
            let info = self.info(None, Protocol::Http1, false);
            return self.serve(io, info).await;
        };
        let handshake = timeout(limits.handshake_timeout, TlsAcceptor::from(tls.0).accept(io));
        let Ok(Ok(stream)) = handshake.await else {
            self.slot.stats().count_handshake_failure();
            return;
        };
        let (_, session) = stream.get_ref();
        let sni = session.server_name().map(Arc::from);
        let protocol = if session.alpn_protocol() == Some(b"h2") { Protocol::Http2 } else { Protocol::Http1 };
        let info = self.info(sni, protocol, true);
        self.serve(stream, info).await;
    }

    fn info(&self, sni: Option<Arc<str>>, protocol: Protocol, tls: bool) -> Arc<ConnInfo> {
        Arc::new(ConnInfo { peer: self.peer, local: self.shared.local, sni, protocol, tls })
    }

    async fn serve<I>(mut self, io: I, info: Arc<ConnInfo>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new();
        let protocol = info.protocol;
        let service = Requests { router: self.shared.router.clone(), info, activity: Arc::clone(&activity) };
        let io = TokioIo::new(io);
        let deadline = match protocol {
            Protocol::Http1 => {
                let conn = http1_server(&self.shared.limits).serve_connection(io, service);
                self.drive(conn, &activity).await
            }
            Protocol::Http2 => {
                let conn = http2_server(&self.shared.limits).serve_connection(io, service);
                self.drive(conn, &activity).await
            }
        };
        self.outlast(&activity, deadline).await;
    }

    /// Waits for the requests that outlive the connection; after the order to stop only for what remains of the drain time.
    async fn outlast(&mut self, activity: &Activity, deadline: Option<Instant>) {
        let drain = self.shared.limits.drain;
        let stopped = async {
            match deadline {
                Some(deadline) => sleep_until(deadline).await,
                None => {
                    self.shutdown.fired().await;
                    sleep_until(Instant::now() + drain).await;
                }
            }
        };
        tokio::select! {
            biased;
            () = activity.over() => {}
            () = stopped => {}
        }
    }

    /// Lets the connection run until it ends, is idle for too long, is too old, or the order to stop comes; then lets its
    /// requests end, and drops it when that takes too long. Gives until when everything has to end, if it was told to stop.
    async fn drive<C: Graceful>(&mut self, conn: C, activity: &Activity) -> Option<Instant> {
        let limits = self.shared.limits.clone();
        let born = Instant::now();
        let end_of_life = born + limits.max_age;
        let mut conn = std::pin::pin!(conn);
        let wake = sleep_until(end_of_life.min(born + limits.idle_timeout));
        let mut wake = std::pin::pin!(wake);
        let mut deadline = None;
        let grace = loop {
            tokio::select! {
                biased;
                _ = conn.as_mut() => return None,
                () = self.shutdown.fired() => {
                    deadline = Some(Instant::now() + limits.drain);
                    break limits.drain;
                }
                () = wake.as_mut() => {
                    let now = Instant::now();
                    let idle = activity.idle_for();
                    if now >= end_of_life {
                        break limits.drain;
                    }
                    if idle >= limits.idle_timeout {
                        break limits.drain.min(Duration::from_secs(1));
                    }
                    wake.as_mut().reset(end_of_life.min(now + (limits.idle_timeout - idle)));
                }
            }
        };
        conn.as_mut().graceful();
        if timeout(grace, conn).await.is_err() {
            self.slot.stats().count_cut();
        }
        deadline
    }
}

fn http1_server(limits: &EdgeLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.header_count)
        .max_buf_size(limits.header_bytes.max(8 * 1024))
        .max_header_size(limits.header_bytes.max(8 * 1024))
        .half_close(false);
    builder
}

fn http2_server(limits: &EdgeLimits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(limits.h2_pending_resets)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buf_size(256 * 1024)
        .keep_alive_interval(limits.h2_ping)
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

/// A connection that can be asked to end after its requests in flight. hyper's errors only say how a peer broke off, which
/// nobody can act on.
trait Graceful: Future {
    fn graceful(self: Pin<&mut Self>);
}

impl<I> Graceful for http1::Connection<TokioIo<I>, Requests>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn graceful(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I> Graceful for http2::Connection<TokioIo<I>, Requests, TokioExecutor>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn graceful(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// The router as hyper wants it, with the connection's facts put into every request.
struct Requests {
    router: Router,
    info: Arc<ConnInfo>,
    activity: Arc<Activity>,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Tracked>, Infallible>> + Send>>;

impl Service<Request<Incoming>> for Requests {
    type Response = Response<Tracked>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let in_flight = self.activity.begin();
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Arc::clone(&self.info));
        let changes_nothing = request.method().is_safe();
        let answer = self.router.clone().oneshot(request);
        let answer = async move { Ok(answer.await?.map(|body| Tracked { body, _in_flight: in_flight })) };
        if changes_nothing { Box::pin(answer) } else { Box::pin(to_its_end(answer)) }
    }
}

/// Runs a request in a task of its own: dropping what is returned, as hyper does when the client is gone, ends it not. For what
/// changes something, and for a GET that does.
pub(crate) async fn to_its_end<T: Send + 'static>(request: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(request).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process is about to end, and takes this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}
