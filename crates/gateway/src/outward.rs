//! Asking servers that a tenant's administrators name: the only requests that leave a gateway for the internet.
//!
//! Invariants: TLS only; an address is judged when it is connected to, so that a name which leads to a private network, to this
//! machine or to a cloud's metadata service is not followed wherever it comes from; redirects are not followed; time and size are
//! bounded, and so is how much is under way, in all and for one tenant: a provider that stalls holds up its own tenant only, until
//! those of sixteen tenants do at once.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use carekeep_identity::federation::is_public;
use carekeep_kernel::TenantId;
use reqwest::{
    Certificate, Client, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use serde_json::Value;
use tokio::sync::Semaphore;
use url::{Host, Url};

/// Of metadata and keys of the large providers the longest have a tenth of this.
const LARGEST: usize = 256 << 10;
const CONNECT: Duration = Duration::from_secs(3);
const WHOLE: Duration = Duration::from_secs(8);
/// Requests under way at a time; more wait.
const AT_ONCE: usize = 128;
/// Of them those for one tenant; one more is refused at once.
const OF_ONE: usize = 8;

/// What is there to be asked.
#[derive(Debug, Clone, Default)]
pub struct OutwardOptions {
    /// Whether servers of this machine and of private networks may be asked: for developers and tests.
    pub private: bool,
    /// An authority that is trusted besides the public ones, PEM: for developers and tests.
    pub authority: Option<Vec<u8>>,
}

/// The options cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the authority for identity providers is no PEM certificate")]
pub struct NoAuthority;

/// A server did not answer as it should. Which one and why is for logs, without what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It may not be asked from here.
    #[error("this address is not asked: it is not of the public internet, or not https")]
    Address,
    /// It did not answer in time, not over TLS that is trusted, or not with the expected status.
    #[error("the identity provider does not answer")]
    Away,
    /// It answered with something else than JSON of a reasonable size.
    #[error("the identity provider answers something that cannot be read")]
    Unreadable,
    /// It answered that it does not do what was asked.
    #[error("the identity provider refused the request")]
    Refused,
    /// As many requests as the tenant has places for are under way, or as many as there are places at all.
    #[error("all places are taken")]
    Busy,
}

/// Asks.
#[derive(Clone)]
pub(crate) struct Outward {
    client: Client,
    private: bool,
    places: Arc<Semaphore>,
    shares: Shares,
}

impl Outward {
    pub(crate) fn new(options: &OutwardOptions) -> Result<Self, NoAuthority> {
        let mut builder = Client::builder()
            .https_only(true)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .pool_max_idle_per_host(1)
            .dns_resolver(Arc::new(Resolver { private: options.private }));
        if let Some(pem) = &options.authority {
            let found = Certificate::from_pem_bundle(pem).ok().filter(|found| !found.is_empty());
            builder = builder.tls_certs_merge(found.ok_or(NoAuthority)?);
        }
        let client = builder.build().map_err(|_| NoAuthority)?;
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Ok(Self { client, private: options.private, places, shares: Shares::default() })
    }

    /// Gets a JSON document for a tenant.
    pub(crate) async fn get(&self, tenant: TenantId, url: &Url) -> Result<Value, NoAnswer> {
        self.check(url)?;
        self.json(tenant, self.client.get(url.clone())).await
    }

    /// Sends a form for a tenant and gets a JSON document.
    pub(crate) async fn post(
        &self,
        tenant: TenantId,
        url: &Url,
        form: &[(&str, &str)],
    ) -> Result<Value, NoAnswer> {
        self.check(url)?;
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client.post(url.clone());
        self.json(tenant, request.header("content-type", "application/x-www-form-urlencoded").body(body))
            .await
    }

    async fn json(&self, tenant: TenantId, request: reqwest::RequestBuilder) -> Result<Value, NoAnswer> {
        let _share = self.shares.take(tenant).ok_or(NoAnswer::Busy)?;
        let place = tokio::time::timeout(WHOLE, self.places.acquire()).await;
        // It was not asked, so nothing is known of it.
        let _place = place.map_err(|_| NoAnswer::Busy)?.map_err(|_| NoAnswer::Busy)?;
        let mut response =
            request.header("accept", "application/json").send().await.map_err(|_| NoAnswer::Away)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(NoAnswer::Refused);
            }
            _ => return Err(NoAnswer::Away),
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| NoAnswer::Away)? {
            if body.len() + chunk.len() > LARGEST {
                return Err(NoAnswer::Unreadable);
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| NoAnswer::Unreadable)
    }

    /// An address that is written out is not resolved, so it is judged here.
    fn check(&self, url: &Url) -> Result<(), NoAnswer> {
        let written = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(NoAnswer::Address),
        };
        let good = url.scheme() == "https" && (self.private || written.is_none_or(is_public));
        if good { Ok(()) } else { Err(NoAnswer::Address) }
    }
}

/// How many requests each tenant has under way; a tenant without any is not in it.
#[derive(Clone, Default)]
struct Shares(Arc<Mutex<HashMap<TenantId, usize>>>);

/// One request of a tenant, until it is dropped.
struct Share {
    shares: Shares,
    tenant: TenantId,
}

impl Shares {
    fn take(&self, tenant: TenantId) -> Option<Share> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = taken.entry(tenant).or_default();
        (*of_one < OF_ONE).then(|| {
            *of_one += 1;
            Share { shares: self.clone(), tenant }
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.shares.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_one) = taken.get_mut(&self.tenant) {
            *of_one -= 1;
            if *of_one == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

/// Resolves names to the addresses that may be connected to: what is left of an answer is what is connected to.
struct Resolver {
    private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<_> = found.filter(|address| private || is_public(address.ip())).collect();
            if allowed.is_empty() {
                return Err(Box::new(NoAnswer::Address) as Box<dyn std::error::Error + Send + Sync>);
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use carekeep_kernel::{SeededRandom, SystemClock};
    use tokio::net::TcpListener;

    use super::*;

    fn tenant(seed: u64) -> TenantId {
        TenantId::generate(&SystemClock, &SeededRandom::new(seed))
    }

    #[test]
    fn i12_a_tenant_has_so_many_places_and_none_is_remembered_that_is_free() {
        let (shares, acme, bolt) = (Shares::default(), tenant(1), tenant(2));
        let mut held: Vec<_> = (0..OF_ONE).map(|_| shares.take(acme).unwrap()).collect();
        assert!(shares.take(acme).is_none(), "one too many");
        // The controls: another tenant has its own, and what is given back is there again.
        let other = shares.take(bolt).unwrap();
        drop(held.pop());
        held.push(shares.take(acme).unwrap());
        assert!(shares.take(acme).is_none());
        drop((held, other));
        assert!(shares.0.lock().unwrap().is_empty(), "memory is for what is under way");
    }

    /// Whether somebody came to a listener of this machine.
    async fn reaches(private: bool, host: &str) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{host}:{}/", listener.local_addr().unwrap().port()).parse().unwrap();
        let outward = Outward::new(&OutwardOptions { private, authority: None }).unwrap();
        tokio::select! {
            // Nobody answers there: asking ends when the listener is gone.
            came = listener.accept() => came.is_ok(),
            answer = outward.get(tenant(1), &url) => { assert!(answer.is_err()); false }
        }
    }

    #[tokio::test]
    async fn i12_this_machine_is_asked_by_developers_only_by_address_and_by_name() {
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"] {
            assert!(!reaches(false, host).await, "{host}");
        }
        for host in ["127.0.0.1", "localhost"] {
            assert!(reaches(true, host).await, "{host}");
        }
    }

    #[tokio::test]
    async fn i12_nothing_is_asked_without_tls() {
        let outward = Outward::new(&OutwardOptions { private: true, authority: None }).unwrap();
        for url in ["http://127.0.0.1:9/", "ftp://127.0.0.1/"] {
            assert_eq!(outward.get(tenant(1), &url.parse().unwrap()).await, Err(NoAnswer::Address), "{url}");
        }
        let options = OutwardOptions { private: true, authority: Some(b"no certificate".to_vec()) };
        assert!(Outward::new(&options).is_err());
    }
}
