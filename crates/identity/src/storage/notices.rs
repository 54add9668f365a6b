//! What happened to an account, for its person to see, and what everybody signs in with, for those who run the tenant.
//!
//! Invariant: a notice holds words of the product and ids. Nothing is sent anywhere yet: a person sees it when signed in.

use std::{collections::BTreeSet, time::Duration};

use carekeep_kernel::{CredentialId, PersonId, Timestamp};
use carekeep_store::{FactorCount, entity::notice};
use carekeep_vault::{Authorized, catalogue::ListPeople};
use uuid::Uuid;

use super::{PersonStatus, PgRepository, Profile, people::PeopleError, people::status, settings::NEEDED};
use crate::service::{Live, RepositoryError};

/// How long a notice is kept that its person has seen.
pub(super) const SEEN_KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How long a notice is kept, seen or not.
pub(super) const KEPT: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Fewer unused recovery codes than this are few.
const FEW_CODES: usize = 3;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeKind {
    /// Somebody signed in from a device that was not seen before.
    NewDevice,
    /// A factor was set up or replaced.
    FactorAdded,
    /// A factor was taken out of use.
    FactorRemoved,
    /// New recovery codes were made.
    RecoveryCodesMade,
    /// A recovery code was used.
    RecoveryCodeUsed,
    /// An app was let in.
    AppAllowed,
    /// A role was given.
    RoleGiven,
    /// A role was taken.
    RoleTaken,
    /// An administrator says that the factors are lost.
    RecoveryBegun,
    /// Another one agrees.
    RecoveryApproved,
    /// A recovery was cancelled, rejected or completed.
    RecoveryEnded,
    /// An administrator took the confirmation of all devices back.
    DevicesCleared,
    /// Another administrator changed what the tenant decided about the ways in.
    SettingsChanged,
    /// The person was linked to an account of the identity provider.
    ProviderLinked,
    /// An administrator set another identity provider, or none.
    ProviderChanged,
    /// A second person agreed that the identity provider's word is worth two factors.
    ProviderAgreed,
    /// An administrator made a token with which an identity provider keeps accounts.
    TokenMade,
    /// Such tokens stopped working, because whoever made them runs the tenant no more.
    TokenStopped,
}

impl NoticeKind {
    /// As it is stored and told.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewDevice => "new_device",
            Self::FactorAdded => "factor_added",
            Self::FactorRemoved => "factor_removed",
            Self::RecoveryCodesMade => "recovery_codes_made",
            Self::RecoveryCodeUsed => "recovery_code_used",
            Self::AppAllowed => "app_allowed",
            Self::RoleGiven => "role_given",
            Self::RoleTaken => "role_taken",
            Self::RecoveryBegun => "recovery_begun",
            Self::RecoveryApproved => "recovery_approved",
            Self::RecoveryEnded => "recovery_ended",
            Self::DevicesCleared => "devices_cleared",
            Self::SettingsChanged => "settings_changed",
            Self::ProviderLinked => "provider_linked",
            Self::ProviderChanged => "provider_changed",
            Self::ProviderAgreed => "provider_agreed",
            Self::TokenMade => "provisioning_token_made",
            Self::TokenStopped => "provisioning_token_stopped",
        }
    }
}

/// A notice as its person sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticeView {
    /// Its id; ids of later ones are greater.
    pub id: Uuid,
    /// What happened: the word of a [`NoticeKind`].
    pub kind: String,
    /// Which factor, role, app or device.
    pub about: Option<String>,
    /// When.
    pub at: Timestamp,
    /// When the person saw it.
    pub seen: Option<Timestamp>,
}

/// Somebody whose ways in are weak, and why. Personal data: no `Debug`.
pub struct WeakFactors {
    /// The person.
    pub person: PersonId,
    /// The names.
    pub profile: Profile,
    /// Where the person stands.
    pub status: PersonStatus,
    /// Password and code generator, no passkey: can be phished.
    pub no_passkey: bool,
    /// Fewer than three recovery codes are left.
    pub few_codes: bool,
    /// Was invited and never came.
    pub never_joined: bool,
    /// An administrator took the confirmation of all devices back, and none was confirmed since.
    pub devices_cleared: bool,
}

impl PgRepository {
    /// Adds a notice.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn notify(
        &self,
        person: PersonId,
        kind: NoticeKind,
        about: Option<&str>,
    ) -> Result<(), RepositoryError> {
        Ok(self.store.add_notice(self.notice(person, kind, about)).await?)
    }

    /// A notice that is to be written together with what it tells.
    pub(super) fn notice(&self, person: PersonId, kind: NoticeKind, about: Option<&str>) -> notice::Model {
        let clock = &**self.vault.clock();
        notice::Model {
            id: CredentialId::generate(clock, self.random()).as_uuid(),
            person: person.as_uuid(),
            kind: kind.as_str().to_owned(),
            about: about.map(str::to_owned),
            at: clock.now().into(),
            seen_at: None,
        }
    }

    /// What those who run the tenant and those who watch over it are told of what one of them did.
    pub(super) async fn tell_deciders(
        &self,
        but: PersonId,
        kind: NoticeKind,
    ) -> Result<Vec<notice::Model>, RepositoryError> {
        let mut told = BTreeSet::new();
        for role in NEEDED {
            told.extend(self.store.active_holders(role).await?);
        }
        told.remove(&but);
        Ok(told.into_iter().map(|one| self.notice(one, kind, None)).collect())
    }

    /// The notices of a person, the newest first: `limit` of those before one of them, or of all.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn notices(
        &self,
        live: &Live,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<NoticeView>, RepositoryError> {
        let rows = self.store.notices(live.person.id, before, limit.into()).await?;
        let view = |row: notice::Model| NoticeView {
            id: row.id,
            kind: row.kind,
            about: row.about,
            at: row.at.into(),
            seen: row.seen_at.map(Timestamp::from),
        };
        Ok(rows.into_iter().map(view).collect())
    }

    /// Notes that a person has seen the notices up to the one with this id.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn saw_notices(&self, live: &Live, until: Uuid) -> Result<(), RepositoryError> {
        Ok(self.store.saw_notices(live.person.id, until, self.vault.clock().now()).await?)
    }

    /// Whose ways in are weak, among `limit` (at most 200) people after `after`; and whom to go on after.
    ///
    /// # Errors
    /// [`PeopleError::OtherEvidence`] also where names are not shown, [`PeopleError::Unavailable`].
    pub async fn weak_factors(
        &self,
        leave: Authorized<ListPeople>,
        after: Option<PersonId>,
        limit: u32,
    ) -> Result<(Vec<WeakFactors>, Option<PersonId>), PeopleError> {
        self.check(&leave)?;
        if !leave.shows_names() {
            return Err(PeopleError::OtherEvidence);
        }
        let limit = u64::from(limit.clamp(1, 200));
        let counts = self.store.factors(after, limit).await?;
        let whole = u64::try_from(counts.len()).is_ok_and(|count| count == limit);
        let next = counts.last().filter(|_| whole).map(|last| PersonId::from_uuid(last.person.id));
        let mut weak = Vec::new();
        for FactorCount { person, passkeys, totp, codes } in counts {
            let joined = person.activated_at.is_some();
            let (no_passkey, few_codes) = (joined && passkeys == 0, joined && totp && codes < FEW_CODES);
            let devices_cleared = person.devices_cleared_at.is_some();
            if no_passkey || few_codes || !joined || devices_cleared {
                weak.push(WeakFactors {
                    person: PersonId::from_uuid(person.id),
                    profile: self.open_profile(&person).await?,
                    status: status(&person),
                    no_passkey,
                    few_codes,
                    never_joined: !joined,
                    devices_cleared,
                });
            }
        }
        Ok((weak, next))
    }
}
