//! Who is at the other end of the connection.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use http::HeaderMap;

/// The application protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What the accept loop knows about a connection; a request extension (as `Arc<ConnInfo>`).
#[derive(Debug)]
pub struct ConnInfo {
    /// The peer of the TCP connection.
    pub peer: SocketAddr,
    /// Our end of it.
    pub local: SocketAddr,
    /// The server name of the TLS handshake (RFC 6066 section 3), if any.
    pub sni: Option<Arc<str>>,
    /// The negotiated protocol.
    pub protocol: Protocol,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// The address of the client: the peer, or what a *configured* proxy says. A request extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddr(pub IpAddr);

/// The block of addresses that one client is counted by: an IPv4 address or an IPv6 /64, because whoever has one
/// address of a /64 has all of them.
#[must_use]
pub fn counted_block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
    }
}

/// A block of addresses, `10.0.0.0/8` or `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpBlock {
    base: IpAddr,
    prefix: u8,
}

/// A text that is no block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a block of addresses: write it as 10.0.0.0/8 or fd00::/8, with the host bits zero")]
pub struct IpBlockError;

impl IpBlock {
    /// Whether the address lies in the block.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => masked4(address, self.prefix) == base,
            (IpAddr::V6(base), IpAddr::V6(address)) => masked6(address, self.prefix) == base,
            _ => false,
        }
    }
}

fn masked4(address: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    Ipv4Addr::from_bits(address.to_bits() & mask)
}

fn masked6(address: Ipv6Addr, prefix: u8) -> Ipv6Addr {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    Ipv6Addr::from_bits(address.to_bits() & mask)
}

impl FromStr for IpBlock {
    type Err = IpBlockError;

    fn from_str(text: &str) -> Result<Self, IpBlockError> {
        let (base, prefix) = text.split_once('/').ok_or(IpBlockError)?;
        let base: IpAddr = base.parse().map_err(|_| IpBlockError)?;
        let prefix: u8 = prefix.parse().map_err(|_| IpBlockError)?;
        let masked = match base {
            IpAddr::V4(v4) if prefix <= 32 => IpAddr::V4(masked4(v4, prefix)),
            IpAddr::V6(v6) if prefix <= 128 => IpAddr::V6(masked6(v6, prefix)),
            _ => return Err(IpBlockError),
        };
        if masked == base { Ok(Self { base, prefix }) } else { Err(IpBlockError) }
    }
}

impl fmt::Display for IpBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

/// The proxies whose `X-Forwarded-For` is believed. Empty by default: nobody's is.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<IpBlock>);

impl TrustedProxies {
    /// Believes the proxies in these blocks.
    #[must_use]
    pub const fn new(blocks: Vec<IpBlock>) -> Self {
        Self(blocks)
    }

    /// The client's address. Entries of `X-Forwarded-For` are read from the right, as long as the hop that wrote
    /// them is trusted; the first address that is not a trusted proxy is the client. An entry that is no address ends the
    /// reading at the hop before it.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> ClientAddr {
        let mut client = peer.to_canonical();
        if self.0.is_empty() || !self.trusts(client) {
            return ClientAddr(client);
        }
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        let hops = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
        for hop in hops {
            let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
            client = address.to_canonical();
            if !self.trusts(client) {
                break;
            }
        }
        ClientAddr(client)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|block| block.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append("x-forwarded-for", value.parse().unwrap());
        }
        map
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn x_forwarded_for_is_ignored_unless_the_peer_is_a_configured_proxy() {
        let forged = headers(&["203.0.113.7"]);
        assert_eq!(TrustedProxies::default().client(ip("10.0.0.1"), &forged).0, ip("10.0.0.1"));
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(trusted.client(ip("10.0.0.1"), &forged).0, ip("203.0.113.7"));
        assert_eq!(trusted.client(ip("192.0.2.1"), &forged).0, ip("192.0.2.1"));
    }

    #[test]
    fn a_client_cannot_prepend_an_address_of_its_choice() {
        let trusted = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        let lines = headers(&["1.1.1.1, 203.0.113.7", "10.2.3.4"]);
        assert_eq!(trusted.client(ip("10.0.0.1"), &lines).0, ip("203.0.113.7"));
        assert_eq!(trusted.client(ip("10.0.0.1"), &headers(&["9.9.9.9, junk"])).0, ip("10.0.0.1"));
        assert_eq!(trusted.client(ip("::ffff:10.0.0.1"), &headers(&["9.9.9.9"])).0, ip("9.9.9.9"));
    }

    #[test]
    fn a_block_needs_zero_host_bits_and_a_sane_prefix() {
        for bad in ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0", "x/8", "fd00::/129", "fd00::1/64"] {
            assert_eq!(bad.parse::<IpBlock>(), Err(IpBlockError), "{bad}");
        }
        let all: IpBlock = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains(ip("8.8.8.8")) && !all.contains(ip("2001:db8::1")));
        let one: IpBlock = "fd00::1/128".parse().unwrap();
        assert!(one.contains(ip("fd00::1")) && !one.contains(ip("fd00::2")));
    }

    #[test]
    fn an_ipv6_client_is_counted_by_its_64() {
        assert_eq!(counted_block(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(counted_block(ip("::ffff:192.0.2.9")), ip("192.0.2.9"));
    }
}
