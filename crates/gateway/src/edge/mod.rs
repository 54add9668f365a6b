//! Everything between the socket and a route's handler.
//!
//! Invariant: a request reaches a handler only with a known tenant, inside every limit, and every answer leaves with the
//! security headers and the request id.

pub mod body;
pub mod client;
pub mod config;
pub mod cors;
pub mod fetch_metadata;
pub mod headers;
pub mod host;
mod internal;
pub mod media;
pub mod request_id;
pub mod routes;
pub mod server;
pub mod shutdown;
pub mod stack;
pub mod tls;

pub use client::{ClientAddr, ConnInfo, IpBlock, Protocol, TrustedProxies};
pub use config::EdgeLimits;
pub use cors::{AppOrigins, Readers};
pub use headers::PageHeaders;
pub use host::{HostDirectory, HostEntry, NormalisedHost, TenantRoute};
pub use internal::internal;
pub use request_id::RequestId;
pub use routes::{BodyKinds, RoutePolicy, RouteTable};
pub(crate) use server::to_its_end;
pub use server::{BindError, Listener, ServeHandle, serve};
pub use shutdown::{Shutdown, ShutdownTrigger};
pub use stack::{EdgeDeps, layers};
pub use tls::{DevAuthority, TlsConfig, TlsError};
