//! Tokens of a tenant's identity provider. Each acts as an account of its own, so that the ledger tells them apart.
//!
//! Invariant: a token is stored as its hash and shown once; the account of a revoked one has left.

use std::time::Duration;

use carekeep_kernel::{CredentialId, PersonId, Timestamp};
use carekeep_store::{
    NewGrant,
    columns::Digest,
    entity::{person, provisioning_token},
};
use carekeep_vault::{
    Authorized, SecretColumn,
    catalogue::{ManageTenant, ReadSettings},
};
use uuid::Uuid;

use super::{
    NoticeKind, PgRepository,
    people::{PeopleError, check_name},
};
use crate::{PlainToken, TokenKind, token};

/// Two to change over from one to the other, and one to spare.
const MOST_TOKENS: u64 = 3;

/// The role of the account that a token acts as.
const ROLE: &str = "provisioner";

/// A token as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvisioningToken {
    /// Its id.
    pub id: Uuid,
    /// What the administrator calls it.
    pub name: String,
    /// The account that acts with it, as it is in the ledger.
    pub person: PersonId,
    /// Who made it.
    pub created_by: PersonId,
    /// When.
    pub created: Timestamp,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// When it was last used, to half a minute.
    pub last_used: Option<Timestamp>,
    /// Whether whoever made it still runs the tenant: otherwise it does not work.
    pub works: bool,
}

impl From<provisioning_token::Model> for ProvisioningToken {
    fn from(row: provisioning_token::Model) -> Self {
        Self {
            id: row.id,
            name: row.name,
            person: PersonId::from_uuid(row.person),
            created_by: PersonId::from_uuid(row.created_by),
            created: row.created_at.into(),
            expires: row.expires_at.into(),
            last_used: row.last_used_at.map(Timestamp::from),
            works: true,
        }
    }
}

type Answer<T> = Result<T, PeopleError>;

impl PgRepository {
    /// Makes a token that is good for `life`. The text is shown once.
    ///
    /// # Errors
    /// [`PeopleError::TooManyTokens`], [`PeopleError::Name`], [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn add_provisioning_token(
        &self,
        leave: Authorized<ManageTenant>,
        name: &str,
        life: Duration,
    ) -> Answer<(ProvisioningToken, PlainToken)> {
        self.check(&leave)?;
        let name = check_name(name)?;
        let now = self.vault.clock().now();
        let (plain, hash) = token::issue(TokenKind::Provisioning, self.random());
        let account = self.account_of_program(name, now).await?;
        let grant = NewGrant {
            id: self.fresh(),
            person: PersonId::from_uuid(account.id),
            role: ROLE.to_owned(),
            granted_by: Some(leave.by()),
            at: now,
        };
        let row = provisioning_token::Model {
            id: CredentialId::generate(&**self.vault.clock(), self.random()).as_uuid(),
            person: account.id,
            name: name.to_owned(),
            token_hash: Digest(hash.as_bytes().to_vec()),
            created_by: leave.by().as_uuid(),
            created_at: now.into(),
            expires_at: (now + life).into(),
            last_used_at: None,
            revoked_at: None,
        };
        let mut told = self.tell_deciders(leave.by(), NoticeKind::TokenMade).await?;
        // Whoever makes it too: it may be somebody else who has their session.
        told.push(self.notice(leave.by(), NoticeKind::TokenMade, None));
        let added =
            self.store.add_provisioning_token(row.clone(), (account, grant), (MOST_TOKENS, told)).await?;
        if added { Ok((ProvisioningToken::from(row), plain)) } else { Err(PeopleError::TooManyTokens) }
    }

    /// Tells those who run the tenant and watch over it that tokens work no more, if this person made some: whoever made one and does
    /// not run the tenant any more still knows it.
    pub(super) async fn tell_of_tokens(&self, maker: PersonId) -> Answer<()> {
        if self.store.made_provisioning_tokens(maker, self.vault.clock().now()).await? {
            let told = self.tell_deciders(maker, NoticeKind::TokenStopped).await?;
            self.store.add_notices(told).await?;
        }
        Ok(())
    }

    /// The tokens that were not revoked, the oldest first.
    ///
    /// # Errors
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn provisioning_tokens(
        &self,
        leave: Authorized<ReadSettings>,
    ) -> Answer<Vec<ProvisioningToken>> {
        self.check(&leave)?;
        let (rows, running) =
            (self.store.provisioning_tokens().await?, self.store.active_holders("tenant_admin").await?);
        let token = |row| {
            let token = ProvisioningToken::from(row);
            ProvisioningToken { works: running.contains(&token.created_by), ..token }
        };
        Ok(rows.into_iter().map(token).collect())
    }

    /// Revokes a token: it is dead within a second everywhere.
    ///
    /// # Errors
    /// [`PeopleError::Gone`] when there is no such token, [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn revoke_provisioning_token(&self, leave: Authorized<ManageTenant>, id: Uuid) -> Answer<()> {
        self.check(&leave)?;
        let now = self.vault.clock().now();
        let account = self.store.revoke_provisioning_token(id, now).await?.ok_or(PeopleError::Gone)?;
        self.store.leave(PersonId::from_uuid(account), now).await?;
        Ok(())
    }

    /// The account of a program. Nobody signs in as it: it has no factor and no invitation.
    pub(super) async fn account_of_program(&self, name: &str, now: Timestamp) -> Answer<person::Model> {
        let id = PersonId::generate(&**self.vault.clock(), self.random());
        let login = format!("app-{id}");
        Ok(person::Model {
            id: id.as_uuid(),
            login_token: self.vault.login_token(self.tenant, &login).await?,
            sealed_login: self.seal(SecretColumn::PersonLogin, id.as_bytes(), login.as_bytes()).await?,
            sealed_name: self.seal(SecretColumn::PersonName, id.as_bytes(), name.as_bytes()).await?,
            audience: "staff".to_owned(),
            patient: None,
            practitioner: None,
            founder: false,
            created_at: now.into(),
            activated_at: Some(now.into()),
            suspended_at: None,
            left_at: None,
            devices_cleared_at: None,
            suspended_by: None,
            changed_at: None,
        })
    }
}
