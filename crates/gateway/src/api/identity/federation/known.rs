//! What providers publish, as last read.

use std::{sync::Arc, time::Duration};

use carekeep_identity::{
    federation::{Asserted, Expected, KeySet, Metadata, NotBelieved, Provider, discovery_url, verify},
    storage::SetProvider,
};
use carekeep_kernel::{TenantId, Timestamp};
use moka::future::Cache;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::outward::{NoAnswer, NoAuthority, Outward, OutwardOptions};

/// How long metadata and keys are gone by.
const KEPT: Duration = Duration::from_secs(60 * 60);
/// How long keys are gone by although a token names another one: whoever makes tokens up does not make us ask each time.
const AT_LEAST: Duration = Duration::from_secs(60);
/// How long a provider that does not answer is left alone: whoever presses the button again and again does not make us wait.
const LEFT_ALONE: Duration = Duration::from_secs(5);
/// The most providers that are remembered.
const MOST: u64 = 1_000;

/// Why nobody is signed in by a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It does not answer, or cannot be used as it is.
    Away,
    /// It says no, or the person did.
    Refused,
    /// What it says is not for this sign-in.
    NotBelieved,
}

impl From<NoAnswer> for Failed {
    fn from(answer: NoAnswer) -> Self {
        tracing::warn!(cause = %answer, "an identity provider was not reached");
        match answer {
            NoAnswer::Refused => Self::Refused,
            NoAnswer::Address | NoAnswer::Away | NoAnswer::Unreadable | NoAnswer::Busy => Self::Away,
        }
    }
}

struct Keys {
    set: KeySet,
    read: Timestamp,
}

struct Published {
    metadata: Metadata,
    read: Timestamp,
}

/// Which setting of whose provider.
type Place = (TenantId, Uuid);

/// The providers of all tenants, by tenant and setting: what one tenant says of an address is nothing to another, and whoever sets a
/// provider anew has everything read anew.
#[derive(Clone)]
pub struct Providers {
    outward: Outward,
    metadata: Cache<Place, Arc<Published>>,
    keys: Cache<Place, Arc<Keys>>,
    away: Cache<Place, Timestamp>,
}

impl Providers {
    /// Knows none yet.
    ///
    /// # Errors
    /// When the options cannot be used.
    pub fn new(options: &OutwardOptions) -> Result<Self, NoAuthority> {
        let outward = Outward::new(options)?;
        Ok(Self { outward, metadata: Cache::new(MOST), keys: Cache::new(MOST), away: Cache::new(MOST) })
    }

    /// The metadata of a provider.
    pub(crate) async fn metadata(
        &self,
        tenant: TenantId,
        set: &SetProvider,
        now: Timestamp,
    ) -> Result<Metadata, Failed> {
        let place = (tenant, set.id);
        if let Some(known) = self.metadata.get(&place).await.filter(|known| now.since(known.read) < KEPT) {
            return Ok(known.metadata.clone());
        }
        if self.away.get(&place).await.is_some_and(|since| now.since(since) < LEFT_ALONE) {
            return Err(Failed::Away);
        }
        let published = match self.published(tenant, &set.provider).await {
            Err(NoAnswer::Busy) => return Err(NoAnswer::Busy.into()),
            other => other.map_err(Failed::from),
        };
        let read = published.and_then(|published| understood(set, published));
        if read.is_err() {
            self.away.insert(place, now).await;
        }
        let metadata = read?;
        self.metadata.insert(place, Arc::new(Published { metadata: metadata.clone(), read: now })).await;
        Ok(metadata)
    }

    async fn published(&self, tenant: TenantId, provider: &Provider) -> Result<Value, NoAnswer> {
        let url = discovery_url(&provider.issuer).ok_or(NoAnswer::Address)?;
        self.outward.get(tenant, &url).await
    }

    /// Exchanges a code.
    pub(crate) async fn exchange(
        &self,
        (tenant, metadata): (TenantId, &Metadata),
        form: &[(&str, &str)],
    ) -> Result<String, Failed> {
        let answer = self.outward.post(tenant, &metadata.token_endpoint, form).await?;
        let token = answer.get("id_token").and_then(Value::as_str);
        token.map(str::to_owned).ok_or(Failed::NotBelieved)
    }

    /// What an id token says. Keys are read again when it names one that is not known, but not all the time.
    pub(crate) async fn verified(
        &self,
        place: Place,
        metadata: &Metadata,
        token: &str,
        expected: Expected<'_>,
    ) -> Result<Asserted, Failed> {
        let url = &metadata.jwks_uri;
        let keys = self.keys((place, url), expected.now, KEPT).await?;
        let verified = match verify(token, &keys.set, expected) {
            Err(NotBelieved::UnknownKey) if expected.now.since(keys.read) >= AT_LEAST => {
                verify(token, &self.keys((place, url), expected.now, AT_LEAST).await?.set, expected)
            }
            verified => verified,
        };
        verified.map_err(|_| Failed::NotBelieved)
    }

    async fn keys(
        &self,
        (place, url): (Place, &Url),
        now: Timestamp,
        oldest: Duration,
    ) -> Result<Arc<Keys>, Failed> {
        if let Some(known) = self.keys.get(&place).await.filter(|known| now.since(known.read) < oldest) {
            return Ok(known);
        }
        let keys = Arc::new(Keys { set: KeySet::read(&self.outward.get(place.0, url).await?), read: now });
        self.keys.insert(place, Arc::clone(&keys)).await;
        Ok(keys)
    }
}

fn understood(set: &SetProvider, published: Value) -> Result<Metadata, Failed> {
    Metadata::read(&set.provider, published, set.secret).map_err(|error| {
        tracing::warn!(cause = %error, "an identity provider cannot be used");
        Failed::Away
    })
}
