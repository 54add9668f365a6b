//! Identity's storage on Postgres: the [`Repository`] over the store's tables and the vault's seals.
//!
//! Invariant: what is secret goes through the vault on its way in and out; this module holds it opened for no longer
//! than the record that it is for.

mod app_tokens;
mod apps;
mod devices;
mod enrolment;
mod federation;
mod launches;
mod notices;
mod people;
mod provisioning;
mod provisioning_tokens;
mod recoveries;
mod roles;
mod rows;
mod settings;

use std::{sync::Arc, time::Duration};

use carekeep_kernel::{CredentialId, PersonId, Random, SessionId, TenantId, TenantKind, Timestamp};
use carekeep_store::{Store, StoreError, columns::Sealed, entity};
use carekeep_vault::{AccessError, SecretColumn, SecretPlace, Vault};
use zeroize::Zeroizing;

pub use app_tokens::{Introspection, Issued, PreparedTokens, Proof};
pub use apps::{AppError, AppGrant, Client, Consent, Prepared};
pub use carekeep_store::{Compare, Which};
pub use devices::{DEVICE_LIFETIME, DeviceView, Presented, Recognised, Shown};
pub use federation::{FederationError, Known, SetProvider};
pub use launches::{Chart, Launched};
pub use notices::{NoticeKind, NoticeView, WeakFactors};
pub use people::{
    Invited, NewPerson, PeopleError, PersonDetails, PersonStatus, PersonView, Profile, check_name,
};
pub use provisioning::{Attributes, NewStaff, StaffView};
pub use provisioning_tokens::ProvisioningToken;
pub use recoveries::{BegunRecovery, Identified, RecoveryView};
pub use roles::{Program, RoleRequest};
pub use settings::SettingsError;

use crate::{
    TokenHash,
    invite::InviteRecord,
    passkey::{CeremonyId, CeremonyRecord, Demand, PasskeyRecord},
    password::StoredPassword,
    recovery::RecoveryRecord,
    service::{
        Login, LoginName, PersonRecord, Repository, RepositoryError,
        repository::{FactorChange, LockKey, OpenRecovery, Removed, TotpRecord, Written},
    },
    session::SessionRecord,
    softlock::LockState,
    totp::{Step, TotpSecret},
};

/// No session lives this long. An ended one is of no use to anybody: what was done in it is in the ledger.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(48 * 60 * 60);

/// A tenant's people and credentials in its operations schema. Cheap: one per request is fine, and better than one for
/// long, because opening it asks whether the tenant is still served.
#[derive(Clone)]
pub struct PgRepository {
    tenant: TenantId,
    kind: TenantKind,
    vault: Arc<Vault>,
    store: Store,
}

type Answer<T> = Result<T, RepositoryError>;

impl From<StoreError> for RepositoryError {
    fn from(error: StoreError) -> Self {
        Self::new(error)
    }
}

impl From<AccessError> for RepositoryError {
    fn from(error: AccessError) -> Self {
        Self::new(error)
    }
}

impl PgRepository {
    /// The storage of a tenant that is served.
    ///
    /// # Errors
    /// [`AccessError::Unavailable`] when the tenant is unknown, suspended or cannot be opened.
    pub async fn open(vault: &Arc<Vault>, tenant: TenantId) -> Result<Self, AccessError> {
        let kind = vault.check_served(tenant)?;
        Ok(Self { tenant, kind, vault: Arc::clone(vault), store: Store::open(vault, tenant).await? })
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    async fn seal(&self, column: SecretColumn, row: &[u8; 16], plain: &[u8]) -> Result<Sealed, AccessError> {
        let place = SecretPlace { column, row: *row };
        Ok(Sealed(self.vault.seal_secret(self.tenant, place, plain).await?))
    }

    async fn open_sealed(
        &self,
        column: SecretColumn,
        row: &[u8; 16],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, AccessError> {
        self.vault.open_secret(self.tenant, SecretPlace { column, row: *row }, &sealed.0).await
    }

    async fn open_totp(&self, row: Option<entity::totp::Model>) -> Answer<Option<TotpRecord>> {
        let Some(row) = row else { return Ok(None) };
        let id = CredentialId::from_uuid(row.id);
        let bytes = self.open_sealed(SecretColumn::TotpSecret, id.as_bytes(), &row.sealed_secret).await?;
        let bytes = Zeroizing::new(<[u8; 20]>::try_from(bytes.as_slice()).map_err(|_| rows::malformed())?);
        Ok(Some(TotpRecord {
            id,
            secret: TotpSecret::from_bytes(*bytes),
            last_used: row.last_step.map(Step),
        }))
    }

    /// Where a guess limit is kept: the token of a login name or the id of a person.
    async fn lock_subject(&self, key: LockKey<'_>) -> Answer<Vec<u8>> {
        match key {
            LockKey::Login(name) => {
                Ok(self.vault.login_token(self.tenant, name.as_str()).await?.to_be_bytes().to_vec())
            }
            LockKey::Person(_, person) => Ok(person.as_bytes().to_vec()),
        }
    }

    /// Deletes some of what is over. Whatever begins a session calls it, so that nothing piles up.
    async fn sweep(&self, now: Timestamp) -> Answer<()> {
        self.store.forget_sessions(now - FORGOTTEN_AFTER).await?;
        self.store.forget_notices(now - notices::SEEN_KEPT, now - notices::KEPT).await?;
        Ok(self.store.delete_devices(now - DEVICE_LIFETIME).await?)
    }

    fn random(&self) -> &dyn Random {
        &**self.vault.random()
    }
}

impl Repository for PgRepository {
    async fn passwords(&self) -> Answer<bool> {
        Ok(self.settings().await?.passwords)
    }

    async fn login(&self, name: &LoginName) -> Answer<Option<Login>> {
        let token = self.vault.login_token(self.tenant, name.as_str()).await?;
        let Some((person, password)) = self.store.login(token).await? else { return Ok(None) };
        let password = password.map(|row| StoredPassword::from_phc(row.phc.0));
        Ok(Some(Login { person: rows::person(self.tenant, &person), password }))
    }

    async fn person(&self, id: PersonId) -> Answer<Option<PersonRecord>> {
        Ok(self.store.person(id).await?.map(|row| rows::person(self.tenant, &row)))
    }

    async fn write_factor(&self, change: &FactorChange, now: Timestamp) -> Answer<Written> {
        self.write_change(change, now).await
    }

    async fn lock(&self, key: LockKey<'_>) -> Answer<(LockState, u64)> {
        let subject = self.lock_subject(key).await?;
        match self.store.softlock(rows::lock_kind(key.kind()), &subject).await? {
            None => Ok((LockState::new(key.kind()), 0)),
            Some(row) => Ok((rows::from_json(row.state)?, u64::try_from(row.version).unwrap_or(0))),
        }
    }

    async fn save_lock(&self, key: LockKey<'_>, state: LockState, version: u64) -> Answer<bool> {
        let subject = self.lock_subject(key).await?;
        let place = (rows::lock_kind(key.kind()), subject.as_slice());
        let version = i64::try_from(version).map_err(|_| rows::malformed())?;
        let now = self.vault.clock().now();
        Ok(self.store.save_softlock(place, rows::to_json(&state)?, version, now).await?)
    }

    async fn rehash_password(
        &self,
        person: PersonId,
        (old, new): (&StoredPassword, &StoredPassword),
        now: Timestamp,
    ) -> Answer<bool> {
        Ok(self.store.rehash_password(rows::password(person, new, now), &rows::phc(old)).await?)
    }

    async fn totp(&self, person: PersonId) -> Answer<Option<TotpRecord>> {
        self.open_totp(self.store.totp(person, true).await?).await
    }

    async fn unconfirmed_totp(&self, person: PersonId) -> Answer<Option<TotpRecord>> {
        self.open_totp(self.store.totp(person, false).await?).await
    }

    async fn put_unconfirmed_totp(&self, person: PersonId, totp: &TotpRecord, now: Timestamp) -> Answer<()> {
        let sealed_secret =
            self.seal(SecretColumn::TotpSecret, totp.id.as_bytes(), totp.secret.as_bytes()).await?;
        let row = entity::totp::Model {
            id: totp.id.as_uuid(),
            person: person.as_uuid(),
            sealed_secret,
            created_at: now.into(),
            confirmed_at: None,
            last_step: totp.last_used.map(|step| step.0),
        };
        Ok(self.store.put_unconfirmed_totp(row).await?)
    }

    async fn use_totp_step(&self, id: CredentialId, step: Step) -> Answer<bool> {
        Ok(self.store.use_totp_step(id, step.0).await?)
    }

    async fn leaves_factors_to_provider(&self, person: &PersonRecord) -> Answer<bool> {
        PgRepository::leaves_factors_to_provider(self, person).await
    }

    async fn demand(&self, person: &PersonRecord) -> Answer<Demand> {
        self.demand_of(person).await
    }

    async fn passkeys(&self, person: PersonId) -> Answer<Vec<PasskeyRecord>> {
        let rows = self.store.passkeys(person).await?;
        rows.into_iter().map(|row| rows::passkey(self.tenant, row)).collect()
    }

    async fn passkey(&self, credential_id: &[u8]) -> Answer<Option<PasskeyRecord>> {
        self.store.passkey(credential_id).await?.map(|row| rows::passkey(self.tenant, row)).transpose()
    }

    async fn rename_passkey(&self, person: PersonId, id: CredentialId, name: &str) -> Answer<bool> {
        Ok(self.store.rename_passkey(person, id, name).await?)
    }

    async fn remove_passkey(
        &self,
        by: (PersonId, SessionId),
        id: CredentialId,
        now: Timestamp,
    ) -> Answer<Removed> {
        Ok(self.store.remove_passkey(by, id, now).await?)
    }

    async fn update_passkey(&self, passkey: &PasskeyRecord, old_counter: u32) -> Answer<bool> {
        Ok(self.store.update_passkey(rows::passkey_row(passkey), i64::from(old_counter)).await?)
    }

    async fn recovery_codes(&self, person: PersonId) -> Answer<Vec<RecoveryRecord>> {
        let rows = self.store.recovery_codes(person).await?;
        rows.iter().map(rows::recovery_code).collect()
    }

    async fn use_recovery_code(&self, id: CredentialId, now: Timestamp) -> Answer<bool> {
        Ok(self.store.use_recovery_code(id, now).await?)
    }

    async fn add_session(&self, session: &SessionRecord) -> Answer<()> {
        self.sweep(session.created).await?;
        Ok(self.store.add_session(rows::session_row(session)?).await?)
    }

    async fn session(&self, token: TokenHash) -> Answer<Option<SessionRecord>> {
        let row = self.store.session(token.as_bytes()).await?;
        row.map(|row| rows::session(self.tenant, row)).transpose().map(Option::flatten)
    }

    async fn replace_session(&self, session: &SessionRecord, old: TokenHash) -> Answer<bool> {
        Ok(self.store.replace_session(rows::session_row(session)?, old.as_bytes()).await?)
    }

    async fn touch_session(&self, id: SessionId, last_seen: Timestamp) -> Answer<()> {
        Ok(self.store.touch_session(id, last_seen).await?)
    }

    async fn sessions(&self, person: PersonId) -> Answer<Vec<SessionRecord>> {
        let rows = self.store.sessions(person).await?;
        rows.into_iter().filter_map(|row| rows::session(self.tenant, row).transpose()).collect()
    }

    async fn revoke_session(&self, person: PersonId, id: SessionId, now: Timestamp) -> Answer<bool> {
        Ok(self.store.revoke_session(person, id, now).await?)
    }

    async fn revoke_sessions(&self, person: PersonId, but: Option<SessionId>, now: Timestamp) -> Answer<u64> {
        Ok(self.store.revoke_sessions(person, but, now).await?)
    }

    async fn add_invite(&self, invite: &InviteRecord) -> Answer<()> {
        Ok(self.store.add_invite(rows::invite_row(invite)).await?)
    }

    async fn invite(&self, token: TokenHash) -> Answer<Option<InviteRecord>> {
        self.store.invite(token.as_bytes()).await?.map(|row| rows::invite(self.tenant, row)).transpose()
    }

    async fn accept_invite(
        &self,
        invite: &InviteRecord,
        session: &SessionRecord,
        now: Timestamp,
    ) -> Answer<bool> {
        self.sweep(now).await?;
        Ok(self.store.accept_invite(invite.id, rows::session_row(session)?, now).await?)
    }

    async fn open_recovery(
        &self,
        link: TokenHash,
        code: &str,
        now: Timestamp,
    ) -> Answer<Option<OpenRecovery>> {
        self.find_recovery(link, code, now).await
    }

    async fn use_recovery(
        &self,
        recovery: OpenRecovery,
        session: &SessionRecord,
        now: Timestamp,
    ) -> Answer<bool> {
        let told = self.notice(recovery.person, NoticeKind::RecoveryEnded, None);
        Ok(self.store.use_recovery(recovery.id, rows::session_row(session)?, told, now).await?)
    }

    async fn add_ceremony(&self, ceremony: &CeremonyRecord) -> Answer<()> {
        Ok(self.store.add_ceremony(rows::ceremony_row(ceremony)).await?)
    }

    async fn take_ceremony(&self, id: CeremonyId, holder: TokenHash) -> Answer<Option<CeremonyRecord>> {
        let taken = self.store.take_ceremony(id.as_uuid(), holder.as_bytes()).await?;
        taken.map(|row| rows::ceremony(self.tenant, row)).transpose()
    }
}
