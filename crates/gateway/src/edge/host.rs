//! From the request's host to the tenant.
//!
//! Invariant: the tenant comes from the one host that the request names, which agrees with the TLS server name, the
//! `:authority` or the absolute-form target where there are any. `X-Forwarded-Host` and `Forwarded` are never read.

use std::{fmt, sync::Arc};

use carekeep_kernel::{TenantId, TenantKind};
use http::{HeaderMap, Uri, Version, header, uri::Authority};

use super::client::ConnInfo;
use crate::problem::{Problem, catalogue};

/// A host name in the one spelling that is looked up: lower case, letters, digits and hyphens in 1 to 127 labels
/// (RFC 1123 section 2.1), at most 253 bytes, no final dot, no port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NormalisedHost(Arc<str>);

/// Why a text is no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    /// It breaks the syntax.
    #[error("not a host name: use letters, digits, hyphens and dots, for example acme.example")]
    Malformed,
    /// It is an IP address, which never names a tenant.
    #[error("an IP address is not a tenant's host: use the host name")]
    Literal,
}

impl NormalisedHost {
    /// Reads a bare host name, without port.
    ///
    /// # Errors
    /// [`HostFault`] if it is none.
    pub fn parse(text: &str) -> Result<Self, HostFault> {
        let labels_fit = text.split('.').all(is_label);
        if text.is_empty() || text.len() > 253 || !labels_fit {
            return Err(HostFault::Malformed);
        }
        // A name whose last label is a number is read as an IPv4 address by browsers (WHATWG URL, 3.5).
        if text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit())) {
            return Err(HostFault::Literal);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NormalisedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    let bytes = label.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        && bytes.first() != Some(&b'-')
        && bytes.last() != Some(&b'-')
}

/// A host and the port written behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// The name.
    pub host: NormalisedHost,
    /// The port, if one was written.
    pub port: Option<u16>,
}

impl HostPort {
    /// Reads the value of a `Host` header (RFC 9110 section 7.2).
    ///
    /// # Errors
    /// [`HostFault`] on anything else, user information, white space, an empty or zero port included.
    pub fn parse(value: &[u8]) -> Result<Self, HostFault> {
        let text = std::str::from_utf8(value).map_err(|_| HostFault::Malformed)?;
        if let Some(rest) = text.strip_prefix('[') {
            return Err(literal_or_malformed(rest));
        }
        let (host, port) = match text.split_once(':') {
            None => (text, None),
            Some((host, port)) => (host, Some(parse_port(port)?)),
        };
        Ok(Self { host: NormalisedHost::parse(host)?, port })
    }

    /// The port that the client reached: the written one, or that of `https`.
    #[must_use]
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(443)
    }

    /// The origin of this host's own pages (RFC 6454): `https://host`, with the port unless it is 443.
    #[must_use]
    pub fn origin(&self) -> String {
        match self.effective_port() {
            443 => format!("https://{}", self.host),
            port => format!("https://{}:{port}", self.host),
        }
    }

    fn same_as(&self, other: &Self) -> bool {
        self.host == other.host && self.effective_port() == other.effective_port()
    }
}

fn literal_or_malformed(rest: &str) -> HostFault {
    let Some((address, tail)) = rest.split_once(']') else { return HostFault::Malformed };
    let port_fits = tail.is_empty() || tail.strip_prefix(':').is_some_and(|port| parse_port(port).is_ok());
    if port_fits && address.parse::<std::net::Ipv6Addr>().is_ok() {
        HostFault::Literal
    } else {
        HostFault::Malformed
    }
}

fn parse_port(text: &str) -> Result<u16, HostFault> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ => Err(HostFault::Malformed),
    }
}

/// What the directory knows about a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEntry {
    /// A tenant that this process serves, and what it is for.
    Tenant(TenantId, TenantKind),
    /// A tenant that exists but is not served now: being provisioned, migrated or suspended. Retry after so many seconds.
    Unavailable {
        /// Seconds until another try makes sense, at least 1.
        retry_after: u32,
    },
    /// No tenant of this cell.
    Unknown,
}

/// Which tenant a host belongs to. In memory, no I/O: it runs for every request before anything else.
pub trait HostDirectory: Send + Sync + 'static {
    /// The entry of that exact host. No wildcards, no default tenant.
    fn lookup(&self, host: &NormalisedHost) -> HostEntry;
}

/// The tenant that a request is for; a request extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRoute {
    /// The tenant.
    pub tenant: TenantId,
    /// What it is for.
    pub kind: TenantKind,
    /// The host that the request named.
    pub host: NormalisedHost,
    /// The origin of the tenant's own pages at that host, for example `https://acme.example`.
    pub origin: Arc<str>,
}

/// Finds the tenant of a request. `ports` are public ports besides 443 and the listener's own.
///
/// # Errors
/// 400 for a malformed host, 421 for one that is not served or that disagrees with the connection, 503 for a tenant
/// that is not served at the moment.
pub fn resolve(
    head: &RequestHead<'_>,
    conn: &ConnInfo,
    directory: &dyn HostDirectory,
    ports: &[u16],
) -> Result<TenantRoute, Problem> {
    let named = named_host(head)?;
    if let Some(sni) = &conn.sni
        && !sni.eq_ignore_ascii_case(named.host.as_str())
    {
        return Err(catalogue::MISDIRECTED);
    }
    let port = named.effective_port();
    if port != 443 && port != conn.local.port() && !ports.contains(&port) {
        return Err(catalogue::MISDIRECTED);
    }
    match directory.lookup(&named.host) {
        HostEntry::Tenant(tenant, kind) => {
            Ok(TenantRoute { tenant, kind, origin: named.origin().into(), host: named.host })
        }
        HostEntry::Unavailable { retry_after } => Err(catalogue::TENANT_UNAVAILABLE.retry_after(retry_after)),
        HostEntry::Unknown => Err(catalogue::MISDIRECTED),
    }
}

/// The parts of a request that name its host.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The protocol version.
    pub version: Version,
    /// The target, with the `:authority` of HTTP/2.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
}

fn named_host(head: &RequestHead<'_>) -> Result<HostPort, Problem> {
    let mut lines = head.headers.get_all(header::HOST).iter();
    let first = lines.next();
    if lines.next().is_some() {
        return Err(catalogue::MALFORMED_HOST);
    }
    // RFC 9112 section 3.2: a Host header in every HTTP/1.1 request, absolute-form or not. HTTP/1.0 gets no exception.
    if first.is_none() && head.version != Version::HTTP_2 {
        return Err(catalogue::MALFORMED_HOST);
    }
    let host = first.map(|value| parse(value.as_bytes())).transpose()?;
    let authority = head.uri.authority().map(Authority::as_str);
    let authority = authority.map(|text| parse(text.as_bytes())).transpose()?;
    if head.version != Version::HTTP_2 && head.uri.scheme_str().is_some_and(|scheme| scheme != "https") {
        return Err(catalogue::MISDIRECTED);
    }
    match (host, authority) {
        (Some(host), Some(authority)) if host.same_as(&authority) => Ok(host),
        (Some(_), Some(_)) => Err(catalogue::MISDIRECTED),
        (Some(one), None) | (None, Some(one)) => Ok(one),
        (None, None) => Err(catalogue::MALFORMED_HOST),
    }
}

fn parse(value: &[u8]) -> Result<HostPort, Problem> {
    HostPort::parse(value).map_err(|fault| match fault {
        HostFault::Malformed => catalogue::MALFORMED_HOST,
        HostFault::Literal => catalogue::MISDIRECTED,
    })
}

#[cfg(test)]
mod tests;
