//! A small server behind the real edge, and clients that misbehave.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension, Json as Answer, Router,
    body::Bytes,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use carekeep_gateway::{
    edge::{
        self, AppOrigins, BodyKinds, ClientAddr, DevAuthority, EdgeDeps, EdgeLimits, HostDirectory,
        HostEntry, Listener, NormalisedHost, PageHeaders, RoutePolicy, RouteTable, ServeHandle,
        ShutdownTrigger, TenantRoute, TrustedProxies, body::Pace, shutdown,
    },
    limits::{LaneLimit, Limiter, LimiterConfig, MonotonicTicks},
    problem::{ErrorFormat, Json, Path, Query, not_found},
    telemetry::Metrics,
};
use carekeep_kernel::{OsRandom, SystemClock, TenantId, TenantKind};
use http::StatusCode;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) struct Hosts {
    pub(crate) acme: TenantId,
    pub(crate) beta: TenantId,
}

impl HostDirectory for Hosts {
    fn lookup(&self, host: &NormalisedHost) -> HostEntry {
        match host.as_str() {
            "acme.localhost" => HostEntry::Tenant(self.acme, TenantKind::Clinic),
            "beta.localhost" => HostEntry::Tenant(self.beta, TenantKind::Clinic),
            _ => HostEntry::Unknown,
        }
    }
}

struct NoApps;

impl AppOrigins for NoApps {
    fn knows<'a>(
        &'a self,
        _: TenantId,
        _: &'a str,
    ) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(std::future::ready(false))
    }
}

/// Where the requests to `/held` wait until the test lets them go on.
pub(crate) struct Held {
    pub(crate) gate: Semaphore,
    pub(crate) begun: AtomicUsize,
    pub(crate) ended: AtomicUsize,
}

pub(crate) struct TestEdge {
    pub(crate) held: Arc<Held>,
    pub(crate) addr: SocketAddr,
    pub(crate) handle: Option<ServeHandle>,
    pub(crate) trigger: Option<ShutdownTrigger>,
    pub(crate) metrics: Metrics,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) acme: TenantId,
    authority: Arc<DevAuthority>,
    _dir: tempfile::TempDir,
}

/// Limits that nobody reaches by accident.
pub(crate) fn generous() -> LimiterConfig {
    LimiterConfig {
        address: LaneLimit::per_seconds(1_000_000, 10),
        tenant: LaneLimit::per_seconds(1_000_000, 10),
        ..LimiterConfig::new([1; 32])
    }
}

impl TestEdge {
    pub(crate) async fn start() -> Self {
        Self::with(EdgeLimits::default(), generous(), None).await
    }

    pub(crate) async fn with(limits: EdgeLimits, rates: LimiterConfig, redis: Option<redis::Client>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = DevAuthority::load_or_create(dir.path(), Arc::new(SystemClock)).unwrap();
        let (trigger, signal) = shutdown::channel();
        let metrics = Metrics::new("test", None).unwrap();
        let limiter = Limiter::start(&rates, redis, Arc::new(MonotonicTicks::default()), signal.clone());
        metrics.watch_limiter(&limiter);
        let hosts = Hosts {
            acme: TenantId::generate(&SystemClock, &OsRandom),
            beta: TenantId::generate(&SystemClock, &OsRandom),
        };
        let acme = hosts.acme;
        let deps = EdgeDeps {
            directory: Arc::new(hosts),
            origins: Arc::new(NoApps),
            limiter: Arc::clone(&limiter),
            metrics: metrics.clone(),
            routes: RouteTable::default()
                .route("/big", RoutePolicy { body_bytes: 16 * 1024 * 1024, kinds: BodyKinds::Json })
                .route("/form", RoutePolicy { body_bytes: 1024, kinds: BodyKinds::Form })
                .errors_below("/fhir/", ErrorFormat::OperationOutcome),
            proxies: TrustedProxies::default(),
            public_ports: Vec::new(),
            pace: Pace::from(&limits),
            clock: Arc::new(SystemClock),
            random: Arc::new(OsRandom),
        };
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = Listener::public(socket, authority.tls().unwrap()).unwrap();
        let held = Arc::new(Held {
            gate: Semaphore::new(0),
            begun: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
        });
        let routes = routes().merge(held_route(&held));
        let handle = edge::serve(listener, edge::layers(routes, deps), limits, signal);
        metrics.watch_connections("public", Arc::clone(&handle.stats));
        Self {
            held,
            addr: handle.local_addr,
            handle: Some(handle),
            trigger: Some(trigger),
            metrics,
            limiter,
            acme,
            authority,
            _dir: dir,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://acme.localhost:{}{path}", self.addr.port())
    }

    pub(crate) fn origin(&self) -> String {
        self.url("")
    }

    fn ca(&self) -> Vec<u8> {
        std::fs::read(self.authority.certificate_path()).unwrap()
    }

    pub(crate) fn client(&self) -> reqwest::Client {
        self.client_builder().build().unwrap()
    }

    pub(crate) fn client_builder(&self) -> reqwest::ClientBuilder {
        let builder = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&self.ca()).unwrap()])
            .no_proxy()
            .timeout(Duration::from_secs(20));
        ["acme.localhost", "beta.localhost", "nobody.localhost"]
            .into_iter()
            .fold(builder, |builder, host| builder.resolve(host, self.addr))
    }

    pub(crate) async fn tls(&self, sni: &str, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.ca()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        let name = ServerName::try_from(sni.to_owned()).unwrap();
        let socket = TcpStream::connect(self.addr).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap()
    }

    /// Sends bytes over HTTP/1 and gives everything that comes back until the server closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.tls("acme.localhost", &[b"http/1.1"]).await;
        stream.write_all(bytes).await.unwrap();
        stream.flush().await.unwrap();
        read_all(&mut stream, Duration::from_secs(15)).await
    }

    pub(crate) fn host(&self) -> String {
        format!("acme.localhost:{}", self.addr.port())
    }

    /// The edge still serves an honest client.
    pub(crate) async fn assert_serves(&self) {
        let response = self.client().get(self.url("/ok")).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
}

/// Reads until the server closes; fails the test if it does not within `patience`.
pub(crate) async fn read_all(stream: &mut (impl AsyncReadExt + Unpin), patience: Duration) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer is an end, too.
    let _ = timeout(patience, stream.read_to_end(&mut bytes)).await.unwrap_or_else(|_| panic!("not closed"));
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) fn statuses(answer: &str) -> Vec<u16> {
    answer.match_indices("HTTP/1.1 ").map(|(at, _)| answer[at + 9..at + 12].parse().unwrap()).collect()
}

fn routes() -> Router {
    Router::new()
        .route("/ok", get(|| async { Answer(json!({"ok": true})) }))
        .route("/who", get(who))
        .route("/echo", post(|Json(value): Json<Value>| async { Answer(value) }))
        .route("/typed", post(|Json(value): Json<Vec<u8>>| async move { Answer(value.len()) }))
        .route("/form", post(length))
        .route("/big", post(length))
        .route("/length", post(length))
        .route("/swallow", post(swallow))
        .route("/number/{n}", get(|Path(n): Path<u32>| async move { Answer(n) }))
        .route("/query", get(|Query(q): Query<Wanted>| async move { Answer(q.count) }))
        .route(
            "/raw-axum/{n}",
            get(|axum::extract::Path(n): axum::extract::Path<u32>| async move { Answer(n) }),
        )
        .route("/panic/{text}", get(panics))
        .route("/page", get(page))
        .route("/slow", get(slow))
        .route("/fhir/R4/Patient/{id}", get(not_found))
}

fn held_route(held: &Arc<Held>) -> Router {
    let hold = |held: Arc<Held>| async move {
        held.begun.fetch_add(1, Ordering::SeqCst);
        held.gate.acquire().await.unwrap().forget();
        held.ended.fetch_add(1, Ordering::SeqCst);
        "done"
    };
    let (reads, writes) = (Arc::clone(held), Arc::clone(held));
    Router::new().route("/held", get(move || hold(reads)).post(move || hold(writes)))
}

#[derive(serde::Deserialize)]
struct Wanted {
    count: u32,
}

async fn who(
    Extension(route): Extension<TenantRoute>,
    Extension(client): Extension<ClientAddr>,
) -> Answer<Value> {
    Answer(json!({"tenant": route.tenant.to_string(), "client": client.0.to_string()}))
}

async fn length(bytes: Bytes) -> Answer<usize> {
    Answer(bytes.len())
}

/// A careless handler: it ignores that the body was cut.
async fn swallow(request: axum::extract::Request) -> &'static str {
    let _ = axum::body::to_bytes(request.into_body(), usize::MAX).await;
    "all fine"
}

async fn panics(Path(text): Path<String>) -> StatusCode {
    panic!("working on {text}")
}

async fn page() -> Response {
    (Extension(PageHeaders::Page), axum::response::Html("<p>hi")).into_response()
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(400)).await;
    "done"
}
