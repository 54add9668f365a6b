//! What the service needs of a tenant's storage. A repository belongs to one tenant: its own schema and login.
//!
//! Invariant: every method that answers `bool` is one atomic compare-and-set. `false` means that somebody else was
//! faster; then nothing was changed.

use std::future::Future;

use carekeep_kernel::{CredentialId, PersonId, SessionId, TenantId, Timestamp};
pub use carekeep_store::{Removed, Written};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::{
    TokenHash,
    invite::InviteRecord,
    passkey::{CeremonyId, CeremonyRecord, Demand, PasskeyRecord},
    password::StoredPassword,
    recovery::RecoveryRecord,
    session::SessionRecord,
    softlock::{LockKind, LockState},
    totp::{Step, TotpSecret},
};

/// The storage could not do it.
#[derive(Debug, thiserror::Error)]
#[error("the storage of this tenant does not answer: try again in a few seconds")]
pub struct RepositoryError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl RepositoryError {
    /// Wraps the cause, which is for logs only.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// A login name in the one spelling that is compared: NFKC, lower case, no blanks around it. Personal data: it has no
/// `Debug`, is stored sealed and looked up by a blind token.
#[derive(Clone, PartialEq, Eq, Hash, Zeroize, ZeroizeOnDrop)]
pub struct LoginName(String);

/// A text that is nobody's login name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a login name has 1 to 254 characters, without blanks and control characters")]
pub struct LoginNameError;

impl LoginName {
    /// Takes what was typed.
    ///
    /// # Errors
    /// When it can be nobody's login name.
    pub fn parse(typed: &str) -> Result<Self, LoginNameError> {
        if typed.len() > 1_024 {
            return Err(LoginNameError);
        }
        let name: String = typed.trim().nfkc().flat_map(char::to_lowercase).collect();
        let length = name.chars().count();
        let clean = !name.chars().any(|c| c.is_control() || c.is_whitespace());
        if clean && (1..=254).contains(&length) { Ok(Self(name)) } else { Err(LoginNameError) }
    }

    /// The text to seal and to make the blind token of.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whose limits apply to a person's sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Works for the tenant.
    Staff,
    /// Is looked after by the tenant, or acts for somebody who is.
    Patient,
}

/// What identity has to know about a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonRecord {
    /// The id.
    pub id: PersonId,
    /// The tenant.
    pub tenant: TenantId,
    /// Whose limits apply.
    pub audience: Audience,
    /// When the person first had two factors. Set once: from then on an invitation is no way in.
    pub activated: Option<Timestamp>,
    /// When the person was suspended or left.
    pub barred: Option<Timestamp>,
}

/// What a login name leads to.
pub struct Login {
    /// The person.
    pub person: PersonRecord,
    /// The person's password.
    pub password: Option<StoredPassword>,
}

/// A code generator, its secret opened.
pub struct TotpRecord {
    /// Its id.
    pub id: CredentialId,
    /// The secret.
    pub secret: TotpSecret,
    /// The last step that was used.
    pub last_used: Option<Step>,
}

/// A factor that was checked and is to be written.
pub enum NewFactor {
    /// In place of the password, if there is one.
    Password(StoredPassword),
    /// Confirms an unconfirmed code generator by its first step, in place of the confirmed one.
    Totp(CredentialId, Step),
    /// One more passkey.
    Passkey(Box<PasskeyRecord>),
    /// In place of all recovery codes.
    RecoveryCodes(Vec<RecoveryRecord>),
}

/// A factor to write, and what comes with it.
pub struct FactorChange {
    /// The factor.
    pub factor: NewFactor,
    /// The session after the step.
    pub session: SessionRecord,
    /// The hash of its token before the step.
    pub old: TokenHash,
    /// Completes an enrolment: `activated` is set, and the roles of the accepted invitation are granted.
    pub completes: bool,
    /// Ends all other sessions of the person (ASVS 5.0 section 7.4.3).
    pub ends_others: bool,
}

/// A recovery of an account that link and code open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenRecovery {
    /// Its id.
    pub id: Uuid,
    /// Whose account it is.
    pub person: PersonId,
}

/// Which guess limit is meant.
#[derive(Clone, Copy)]
pub enum LockKey<'a> {
    /// The password of a login name, whether somebody has it or not. Stored under the name's blind token.
    Login(&'a LoginName),
    /// A credential of a person.
    Person(LockKind, PersonId),
}

impl LockKey<'_> {
    /// What is guessed at.
    #[must_use]
    pub const fn kind(&self) -> LockKind {
        match self {
            Self::Login(_) => LockKind::Password,
            Self::Person(kind, _) => *kind,
        }
    }
}

type Answer<T> = Result<T, RepositoryError>;

/// A tenant's storage of people and their credentials.
pub trait Repository: Send + Sync {
    /// The person with this login name, and the password: one query, which costs the same when nobody is found.
    fn login(&self, name: &LoginName) -> impl Future<Output = Answer<Option<Login>>> + Send;
    /// Whether the tenant lets people sign in by password.
    fn passwords(&self) -> impl Future<Output = Answer<bool>> + Send;
    /// A person.
    fn person(&self, id: PersonId) -> impl Future<Output = Answer<Option<PersonRecord>>> + Send;
    /// Writes a factor and takes the session on, in one transaction that is alone with the person: only if the session still has
    /// the token `old` and is not revoked, the person may sign in and, to complete an enrolment, an invitation still counts. The
    /// person is told with it.
    fn write_factor(
        &self,
        change: &FactorChange,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Written>> + Send;

    /// The state of a guess limit and its version; a new state with version 0 when there is none.
    fn lock(&self, key: LockKey<'_>) -> impl Future<Output = Answer<(LockState, u64)>> + Send;
    /// Stores the state if the version is still this one, and counts the version up.
    fn save_lock(
        &self,
        key: LockKey<'_>,
        state: LockState,
        version: u64,
    ) -> impl Future<Output = Answer<bool>> + Send;

    /// Stores the second in place of the first, the same password hashed in another way; `false` when it was changed meanwhile.
    fn rehash_password(
        &self,
        person: PersonId,
        replace: (&StoredPassword, &StoredPassword),
        now: Timestamp,
    ) -> impl Future<Output = Answer<bool>> + Send;

    /// The confirmed code generator.
    fn totp(&self, person: PersonId) -> impl Future<Output = Answer<Option<TotpRecord>>> + Send;
    /// The code generator that waits for its first code.
    fn unconfirmed_totp(&self, person: PersonId) -> impl Future<Output = Answer<Option<TotpRecord>>> + Send;
    /// Stores an unconfirmed code generator in place of an earlier unconfirmed one.
    fn put_unconfirmed_totp(
        &self,
        person: PersonId,
        totp: &TotpRecord,
        now: Timestamp,
    ) -> impl Future<Output = Answer<()>> + Send;
    /// Uses a step up; `false` when this or a later one was used already.
    fn use_totp_step(&self, id: CredentialId, step: Step) -> impl Future<Output = Answer<bool>> + Send;

    /// Whether two factors that the tenant's identity provider asked for are two for this person.
    fn leaves_factors_to_provider(&self, person: &PersonRecord) -> impl Future<Output = Answer<bool>> + Send;
    /// What is demanded of the passkeys of a person, for the roles that they hold; of somebody who has not joined yet, for those
    /// that the accepted invitation will grant.
    fn demand(&self, person: &PersonRecord) -> impl Future<Output = Answer<Demand>> + Send;
    /// The passkeys of a person.
    fn passkeys(&self, person: PersonId) -> impl Future<Output = Answer<Vec<PasskeyRecord>>> + Send;
    /// The passkey with this credential id.
    fn passkey(&self, credential_id: &[u8]) -> impl Future<Output = Answer<Option<PasskeyRecord>>> + Send;
    /// Stores a passkey after use if its counter is still `old_counter`.
    fn update_passkey(
        &self,
        passkey: &PasskeyRecord,
        old_counter: u32,
    ) -> impl Future<Output = Answer<bool>> + Send;

    /// Gives a passkey of the person another name; `false` when there is none.
    fn rename_passkey(
        &self,
        person: PersonId,
        id: CredentialId,
        name: &str,
    ) -> impl Future<Output = Answer<bool>> + Send;
    /// Deletes a passkey of the person of a session that is not revoked, if what remains makes two factors, and revokes all their
    /// other sessions; of two at once the second one sees the first.
    fn remove_passkey(
        &self,
        by: (PersonId, SessionId),
        id: CredentialId,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Removed>> + Send;

    /// The recovery codes of a person, used ones too.
    fn recovery_codes(&self, person: PersonId) -> impl Future<Output = Answer<Vec<RecoveryRecord>>> + Send;
    /// Marks a code as used if it is not.
    fn use_recovery_code(
        &self,
        id: CredentialId,
        now: Timestamp,
    ) -> impl Future<Output = Answer<bool>> + Send;
    /// Adds a session.
    fn add_session(&self, session: &SessionRecord) -> impl Future<Output = Answer<()>> + Send;
    /// The session with this token.
    fn session(&self, token: TokenHash) -> impl Future<Output = Answer<Option<SessionRecord>>> + Send;
    /// Stores a session after a step if its token is still `old` and it is not revoked.
    fn replace_session(
        &self,
        session: &SessionRecord,
        old: TokenHash,
    ) -> impl Future<Output = Answer<bool>> + Send;
    /// Writes the last use.
    fn touch_session(&self, id: SessionId, last_seen: Timestamp) -> impl Future<Output = Answer<()>> + Send;
    /// The sessions of a person that are not revoked.
    fn sessions(&self, person: PersonId) -> impl Future<Output = Answer<Vec<SessionRecord>>> + Send;
    /// Revokes one session of a person; `false` when the person has no such session.
    fn revoke_session(
        &self,
        person: PersonId,
        id: SessionId,
        now: Timestamp,
    ) -> impl Future<Output = Answer<bool>> + Send;
    /// Revokes all sessions of a person but one; answers how many.
    fn revoke_sessions(
        &self,
        person: PersonId,
        but: Option<SessionId>,
        now: Timestamp,
    ) -> impl Future<Output = Answer<u64>> + Send;

    /// Adds an invitation.
    fn add_invite(&self, invite: &InviteRecord) -> impl Future<Output = Answer<()>> + Send;
    /// The invitation with this token.
    fn invite(&self, token: TokenHash) -> impl Future<Output = Answer<Option<InviteRecord>>> + Send;
    /// Marks an invitation as accepted if it is neither accepted nor withdrawn, and the person was never activated; deletes
    /// what an earlier, unfinished enrolment of the person left behind (factors and sessions), and adds the session that begins,
    /// in one transaction.
    fn accept_invite(
        &self,
        invite: &InviteRecord,
        session: &SessionRecord,
        now: Timestamp,
    ) -> impl Future<Output = Answer<bool>> + Send;

    /// The recovery that link and code open now, or `None` when they open none.
    fn open_recovery(
        &self,
        link: TokenHash,
        code: &str,
        now: Timestamp,
    ) -> impl Future<Output = Answer<Option<OpenRecovery>>> + Send;
    /// Uses up a recovery that is still open, with the person's old factors, sessions, devices and apps, and adds the session that
    /// begins, in one transaction.
    fn use_recovery(
        &self,
        recovery: OpenRecovery,
        session: &SessionRecord,
        now: Timestamp,
    ) -> impl Future<Output = Answer<bool>> + Send;

    /// Adds a ceremony.
    fn add_ceremony(&self, ceremony: &CeremonyRecord) -> impl Future<Output = Answer<()>> + Send;
    /// Takes a ceremony out, if it was begun with the token of this hash: of several callers one gets it.
    fn take_ceremony(
        &self,
        id: CeremonyId,
        holder: TokenHash,
    ) -> impl Future<Output = Answer<Option<CeremonyRecord>>> + Send;
}
