//! The one place where a request is admitted and an answer finished.
//!
//! The order, and why:
//! 1. request id, span, in-flight count: everything after can be traced;
//! 2. method (501, 405) and length of the target (414): cheapest refusals first;
//! 3. host -> tenant (400, 421, 503): nothing else is done for a host that is not ours; a route that is not for tenants of this
//!    kind is no route from here on (404, after 4);
//! 4. address limit, then tenant limit (429): before any work is done for the request;
//! 5. pages of other origins: may one read the answer? A question before such a request (preflight) is answered here;
//!    then Fetch Metadata (403): before the body is read;
//! 6. media type, coding and announced length of the body (415, 413), guard around the rest (413, 408, 400);
//! 7. the handler, under a catch for panics (500); session and principal limit are its route's business;
//! 8. the answer: a cut body's reason replaces whatever the handler said; errors get the route's format and the request id;
//!    the rate-limit and security headers are set, and who may read it.
//!
//! One layer instead of a dozen: each layer of tower costs an allocation per request.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use carekeep_kernel::{Clock, Random, TenantId};
use futures_util::FutureExt as _;
use http::{HeaderValue, Method, Request, StatusCode, Version, header};
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::{
    body::{self, Pace, Verdict},
    client::{ConnInfo, TrustedProxies},
    cors::{self, AppOrigins, Page, Reader, Readers},
    fetch_metadata,
    headers::{self, PageHeaders},
    host::{self, HostDirectory, RequestHead, TenantRoute},
    request_id::RequestId,
    routes::RouteTable,
};
use crate::{
    limits::{Allowed, Denied, Lane, Limiter},
    problem::{self, ErrorFormat, Problem, catalogue},
    telemetry::{Metrics, RequestFacts, RouteLabel, SafeField as _},
};

/// Longest request target, in bytes.
const MAX_TARGET: usize = 8 * 1024;

/// What the edge needs.
pub struct EdgeDeps {
    /// Host -> tenant.
    pub directory: Arc<dyn HostDirectory>,
    /// Tenant -> origins of its apps.
    pub origins: Arc<dyn AppOrigins>,
    /// The rate limits.
    pub limiter: Arc<Limiter>,
    /// The metrics.
    pub metrics: Metrics,
    /// Body size and kind per route, error format per prefix.
    pub routes: RouteTable,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub proxies: TrustedProxies,
    /// Public ports besides 443 and the listener's own.
    pub public_ports: Vec<u16>,
    /// How slowly a body may come; see [`super::EdgeLimits`].
    pub pace: Pace,
    /// For request ids.
    pub clock: Arc<dyn Clock>,
    /// For request ids.
    pub random: Arc<dyn Random>,
}

impl std::fmt::Debug for EdgeDeps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeDeps").field("routes", &self.routes).finish_non_exhaustive()
    }
}

/// Puts the edge around all routes of `router`, its fallbacks included. Call it last: a route added afterwards would be
/// outside.
pub fn layers(router: Router, deps: EdgeDeps) -> Router {
    router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(EdgeLayer(Arc::new(deps)))
}

#[derive(Clone)]
struct EdgeLayer(Arc<EdgeDeps>);

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { deps: Arc::clone(&self.0), inner }
    }
}

#[derive(Clone)]
struct Edge<S> {
    deps: Arc<EdgeDeps>,
    inner: S,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for Edge<S>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        // The service that was polled ready is the one to call.
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        Box::pin(handle(Arc::clone(&self.deps), inner, request))
    }
}

async fn handle<S>(
    deps: Arc<EdgeDeps>,
    mut inner: S,
    mut request: Request<Body>,
) -> Result<Response, Infallible>
where
    S: Service<Request<Body>, Response = Response, Error = Infallible>,
{
    let started = Instant::now();
    let _in_flight = deps.metrics.begin();
    let id = RequestId::generate(&*deps.clock, &*deps.random);
    let facts = RequestFacts::new(request.method(), RouteLabel::of(request.extensions()), id);
    let span = facts.span();
    let mut ending = Ending {
        readers: deps.routes.readers(facts.route.template()),
        reader: None,
        format: deps.routes.format(request.uri().path()),
        http1: request.version() != Version::HTTP_2,
        routed: facts.route.template().is_some(),
        id,
        allowed: None,
        verdict: None,
    };
    request.extensions_mut().insert(id);
    let placed = span.in_scope(|| place(&deps, &mut request, &mut ending, &facts));
    let readers = ending.readers;
    if let Some((page, tenant)) = page(readers, &request) {
        ending.reader = page.reader(readers, (tenant, &*deps.origins)).instrument(span.clone()).await;
    }
    let asks = ending.reader.is_some() && cors::is_preflight(request.method(), request.headers());
    let admitted = placed.and_then(|()| span.in_scope(|| admit(&deps, &mut request, &mut ending, &facts)));
    let response = match admitted {
        Err(refusal) => refusal.into_response(&deps),
        Ok(()) if asks => cors::preflight().into_response(),
        Ok(()) => {
            let answer = AssertUnwindSafe(async { inner.call(request).await }).catch_unwind();
            match answer.instrument(span.clone()).await {
                Ok(Ok(response)) => response,
                Err(_) => {
                    deps.metrics.panicked();
                    catalogue::INTERNAL.into_response()
                }
            }
        }
    };
    let response = ending.finish(response, &deps);
    let took = started.elapsed();
    deps.metrics.finish(&facts, response.status(), took);
    facts.finish(&span, response.status(), took);
    Ok(response)
}

/// Why a request is not admitted.
enum Refusal {
    Problem(Problem),
    Limit(Denied),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self::Limit(denied)
    }
}

impl Refusal {
    fn into_response(self, deps: &EdgeDeps) -> Response {
        match self {
            Self::Problem(problem) => problem.into_response(),
            Self::Limit(denied) => {
                let mut response = Problem::from(denied).into_response();
                denied.write(response.headers_mut(), deps.limiter.policy(denied.lane));
                response
            }
        }
    }
}

/// The page of another origin that asks, where such pages may be answered, with the tenant that it asks.
fn page(readers: Readers, request: &Request<Body>) -> Option<(Page, TenantId)> {
    if readers == Readers::Nobody {
        return None;
    }
    let route = request.extensions().get::<TenantRoute>()?;
    Some((Page::of(request.headers(), &route.origin)?, route.tenant))
}

/// Whose the request is, inside the limits of the address and of the tenant, and whether it is for something that is there.
fn place(
    deps: &EdgeDeps,
    request: &mut Request<Body>,
    ending: &mut Ending,
    facts: &RequestFacts,
) -> Result<(), Refusal> {
    check_method(request.method())?;
    if request.uri().path_and_query().map_or(0, |target| target.as_str().len()) > MAX_TARGET {
        return Err(catalogue::URI_TOO_LONG.into());
    }
    // Only the accept loop puts it there: without it the router is served in another way, and nobody knows the peer.
    let conn = request.extensions().get::<Arc<ConnInfo>>().cloned().ok_or(catalogue::INTERNAL)?;
    let head = RequestHead { version: request.version(), uri: request.uri(), headers: request.headers() };
    let route = host::resolve(&head, &conn, &*deps.directory, &deps.public_ports)?;
    route.tenant.record(&tracing::Span::current(), "tenant");
    let client = deps.proxies.client(conn.peer.ip(), request.headers());
    let (tenant, kind) = (route.tenant, route.kind);
    let extensions = request.extensions_mut();
    extensions.insert(client);
    extensions.insert(route);
    ending.allowed = Some(deps.limiter.check_address(client.0)?);
    deps.limiter.check_tenant(tenant)?;
    if deps.routes.offered(facts.route.template()).at(kind) {
        return Ok(());
    }
    ending.readers = Readers::Nobody;
    ending.routed = false;
    Err(catalogue::NOT_FOUND.into())
}

/// Who caused it, and what it may bring.
fn admit(
    deps: &EdgeDeps,
    request: &mut Request<Body>,
    ending: &mut Ending,
    facts: &RequestFacts,
) -> Result<(), Refusal> {
    let route = request.extensions().get::<TenantRoute>().ok_or(catalogue::INTERNAL)?;
    let from_app = ending.reader.as_ref().is_some_and(Reader::is_app);
    fetch_metadata::check(request.method(), request.headers(), (&route.origin, from_app))?;
    let policy = deps.routes.policy(facts.route.template());
    ending.verdict = body::admit(request, policy, deps.pace)?;
    Ok(())
}

fn check_method(method: &Method) -> Result<(), Problem> {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => Ok(()),
        Method::TRACE | Method::CONNECT => Err(catalogue::METHOD_NOT_ALLOWED),
        _ => Err(catalogue::METHOD_NOT_IMPLEMENTED),
    }
}

/// What is needed to finish an answer.
struct Ending {
    readers: Readers,
    /// The page of another origin that may read the answer.
    reader: Option<Reader>,
    format: ErrorFormat,
    http1: bool,
    /// Whether there is a route at the path.
    routed: bool,
    id: RequestId,
    allowed: Option<Allowed>,
    verdict: Option<Verdict>,
}

impl Ending {
    fn finish(&self, mut response: Response, deps: &EdgeDeps) -> Response {
        if let Some(fault) = self.verdict.as_ref().and_then(Verdict::get) {
            response = fault.problem().into_response();
        }
        let mut response = as_problem(response, self.format, self.id);
        let page = response.extensions_mut().remove::<PageHeaders>();
        let status = response.status();
        let headers = response.headers_mut();
        if let Some(allowed) = self.allowed
            && !headers.contains_key("ratelimit")
        {
            allowed.write(headers, deps.limiter.policy(Lane::Address));
        }
        headers::apply(headers, page, self.id);
        if self.readers != Readers::Nobody {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        if let Some(reader) = &self.reader {
            reader.write(headers);
        }
        // At a route the router says which methods it takes, after this.
        if status == StatusCode::METHOD_NOT_ALLOWED && !self.routed {
            headers.insert(header::ALLOW, HeaderValue::from_static(""));
        }
        // The rest of a refused body is not worth reading.
        if self.http1 && is_about_the_body(status) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// Renders problems with the request id in the route's format; an error answer that is plain text (axum's own) or has no
/// type is replaced, because its text may repeat what the client sent.
pub(super) fn as_problem(mut response: Response, format: ErrorFormat, id: RequestId) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let found = response.extensions_mut().remove::<Problem>();
    let typed = response.headers().get(header::CONTENT_TYPE).is_some_and(|media| {
        !media.as_bytes().starts_with(b"text/plain") && !media.as_bytes().starts_with(b"application/octet")
    });
    if found.is_none() && typed {
        return response;
    }
    let problem = found.unwrap_or_else(|| catalogue::for_status(status));
    let mut fresh = problem.render(format, Some(id));
    *fresh.status_mut() = status;
    // What a handler or the router said besides the body, such as Allow, WWW-Authenticate or Set-Cookie, stays.
    let own_wait = fresh.headers().contains_key(header::RETRY_AFTER);
    for (name, value) in response.headers() {
        let about_the_body = name == header::CONTENT_LENGTH || name == header::CONTENT_TYPE;
        let replaced = about_the_body || (own_wait && name == header::RETRY_AFTER);
        if !replaced {
            fresh.headers_mut().append(name, value.clone());
        }
    }
    *fresh.extensions_mut() = std::mem::take(response.extensions_mut());
    fresh
}

const fn is_about_the_body(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 413 | 415)
}
