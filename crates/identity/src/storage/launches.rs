//! Apps that people open from a chart: "EHR launch" (SMART App Launch 2.2).
//!
//! Invariant: a launch is good for one app, in the one session in which the chart was open, for five minutes and once. Whether
//! the person may read the chart is not remembered in it: whoever gives a token by it asks policy again.

use carekeep_kernel::{ResourceId, Timestamp};
use carekeep_store::entity::oauth_launch;
use carekeep_vault::Caller;
use uuid::Uuid;

use super::{
    PgRepository,
    apps::{Answer, AppError, Client, digest},
};
use crate::{
    PlainToken, TokenHash, TokenKind,
    oauth::{LAUNCH_LIFE, OAuthError},
    token,
};

/// One text for every launch that does not count.
pub(super) const NO_LAUNCH: OAuthError =
    OAuthError::new("invalid_request", "the launch is not valid: open the app from the chart again");

/// Where an app is opened from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chart {
    /// Whose chart it is.
    pub patient: ResourceId,
    /// The visit that is open in it.
    pub encounter: Option<ResourceId>,
}

/// A launch that counts.
pub struct Launched {
    hash: TokenHash,
    /// What was open when it began.
    pub chart: Chart,
}

impl Launched {
    pub(super) fn hash(&self) -> TokenHash {
        self.hash
    }
}

impl PgRepository {
    /// The approved apps that can be opened from a chart, the oldest first: `limit` of those after one of them, or of all.
    ///
    /// # Errors
    /// [`AppError::OwnSession`], [`AppError::Unavailable`].
    pub async fn launchable_apps(&self, by: &Caller, after: Option<Uuid>, limit: u32) -> Answer<Vec<Client>> {
        self.own_session(by)?;
        let apps = self.store.launchable_clients(after, limit.into()).await?;
        apps.into_iter().map(super::apps::client).collect()
    }

    /// Notes that a person opens an app from a chart that they read: gives the `launch` parameter.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for an app that cannot be opened so, [`AppError::OwnSession`], [`AppError::Unavailable`].
    pub async fn launch_app(&self, by: &Caller, app: &Client, chart: Chart) -> Answer<PlainToken> {
        self.own_session(by)?;
        if !app.is_launchable() {
            return Err(AppError::NotFound);
        }
        let (plain, hash) = token::issue(TokenKind::Launch, self.random());
        let row = oauth_launch::Model {
            token_hash: digest(&hash),
            client: app.id,
            person: by.person().as_uuid(),
            session: by.session().as_uuid(),
            patient: chart.patient.as_uuid(),
            encounter: chart.encounter.map(|encounter| encounter.as_uuid()),
            expires_at: (self.vault.clock().now() + LAUNCH_LIFE).into(),
            used_at: None,
        };
        self.forget_apps().await?;
        self.store.add_launch(row).await?;
        Ok(plain)
    }

    /// What a launch of this app, by this very person in this very session, is about. It is used up by the consent.
    ///
    /// # Errors
    /// [`AppError::Refused`] for every launch that does not count, [`AppError::Unavailable`].
    pub async fn launched(&self, by: &Caller, app: &Client, launch: &str) -> Answer<Launched> {
        let hash = TokenHash::of_presented(TokenKind::Launch, launch).map_err(|_| NO_LAUNCH)?;
        let row = self.store.launch(hash.as_bytes()).await?.ok_or(NO_LAUNCH)?;
        let fits = row.client == app.id
            && row.person == by.person().as_uuid()
            && row.session == by.session().as_uuid()
            && self.vault.clock().now() < Timestamp::from(row.expires_at);
        if !fits {
            return Err(NO_LAUNCH.into());
        }
        let patient = ResourceId::from_uuid(row.patient);
        Ok(Launched { hash, chart: Chart { patient, encounter: row.encounter.map(ResourceId::from_uuid) } })
    }
}
