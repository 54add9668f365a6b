//! Recovery of an account whose person lost all factors (SP 800-63B-4 section 4.2.2).
//!
//! Invariants: two of staff, neither of them the person, have a part in it, and each hands over one half: whoever begins
//! it the code, whoever approves it the link. One half opens nothing, so neither a mailbox nor one of them takes an
//! account over. A patient's is begun from the chart, by whoever could have given the account to the patient. Between approval and use there is a hold in which the person, who may be signed in after all, can end it.

use std::time::Duration;

use carekeep_kernel::{CredentialId, PersonId, ResourceId, Timestamp};
use carekeep_store::{
    Approval,
    columns::Digest,
    entity::{account_recovery, person},
};
use carekeep_vault::{
    Authorized,
    catalogue::{ApproveRecovery, ListPeople, RecoverAccount, RecoverPatient},
};
use uuid::Uuid;

use super::{NoticeKind, PgRepository, people::PeopleError, rows};
use crate::{
    PlainToken, TokenHash, TokenKind,
    recovery::{self, PlainCode},
    service::{Live, RepositoryError, repository::OpenRecovery},
    token,
};

/// How long a recovery waits for whoever decides on it.
const APPROVAL_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long it can be used once the hold is over.
const OPEN_FOR: Duration = Duration::from_secs(72 * 60 * 60);
/// The longest list in one answer.
const LONGEST_LIST: u64 = 200;

/// A recovery under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryView {
    /// Its id.
    pub id: Uuid,
    /// Whose account.
    pub person: PersonId,
    /// Who began it.
    pub begun_by: PersonId,
    /// When.
    pub begun: Timestamp,
    /// Who approved it.
    pub approved_by: Option<PersonId>,
    /// From when on it can be used.
    pub opens: Option<Timestamp>,
    /// When it lapses.
    pub lapses: Timestamp,
    /// How the patient was identified whose account it is.
    pub identified: Option<Identified>,
}

/// How whoever begins the recovery of a patient's account identified the patient, in person (SP 800-63B-4 section 4.2: proven
/// anew, where no factor is left). Whoever knows nobody's face sees a document with a photograph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identified {
    /// By a document with a photograph: passport, identity card, driving licence.
    PhotoId,
    /// The member of staff knows the patient.
    PersonallyKnown,
}

impl Identified {
    const ALL: [Self; 2] = [Self::PhotoId, Self::PersonallyKnown];

    /// Its name, as stored and as the API calls it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PhotoId => "photo_id",
            Self::PersonallyKnown => "personally_known",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

/// A recovery that was begun, with the half that is handed to the person. Shown once.
pub struct BegunRecovery {
    /// The recovery.
    pub recovery: RecoveryView,
    /// The code.
    pub code: PlainCode,
}

impl From<account_recovery::Model> for RecoveryView {
    fn from(row: account_recovery::Model) -> Self {
        Self {
            id: row.id,
            person: PersonId::from_uuid(row.person),
            begun_by: PersonId::from_uuid(row.begun_by),
            begun: row.begun_at.into(),
            approved_by: row.approved_by.map(PersonId::from_uuid),
            opens: row.opens_at.map(Timestamp::from),
            lapses: row.closes_at.unwrap_or(row.expires_at).into(),
            identified: row.identified_by.as_deref().and_then(Identified::parse),
        }
    }
}

fn unavailable(error: RepositoryError) -> PeopleError {
    PeopleError::Unavailable(Box::new(error))
}

impl PgRepository {
    /// Begins the recovery of an account.
    ///
    /// # Errors
    /// [`PeopleError::UnderWay`]; [`PeopleError::NotJoined`] for somebody who has not joined, or never will as a program, [`PeopleError::Left`] for one who has
    /// left, [`PeopleError::PatientsAccount`] for a patient, whose recovery begins from the chart;
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn begin_recovery(
        &self,
        leave: Authorized<RecoverAccount>,
    ) -> Result<BegunRecovery, PeopleError> {
        let person = self.target(&leave)?;
        let row = self.store.person(person).await?.ok_or(PeopleError::Left)?;
        if row.patient.is_some() {
            return Err(PeopleError::PatientsAccount);
        }
        self.begin(&row, (leave.by(), None)).await
    }

    /// Begins the recovery of the account that reads a chart, by somebody before whom the patient stands.
    ///
    /// # Errors
    /// [`PeopleError::UnderWay`]; [`PeopleError::NotJoined`] when the chart has no account, or nobody has joined with it;
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn begin_patients_recovery(
        &self,
        leave: Authorized<RecoverPatient>,
        identified: Identified,
    ) -> Result<BegunRecovery, PeopleError> {
        self.check(&leave)?;
        let patient = leave.patient().ok_or(PeopleError::OtherEvidence)?;
        let row = self.store.account_of(patient).await?.ok_or(PeopleError::NotJoined)?;
        self.begin(&row, (leave.by(), Some(identified))).await
    }

    async fn begin(
        &self,
        row: &person::Model,
        (by, identified): (PersonId, Option<Identified>),
    ) -> Result<BegunRecovery, PeopleError> {
        let person = PersonId::from_uuid(row.id);
        // Somebody who is suspended can be let in: suspension ends the sessions of whoever stole their factors, who could end the
        // recovery otherwise.
        if row.left_at.is_some() {
            return Err(PeopleError::Left);
        }
        if row.activated_at.is_none() || self.store.is_program(person).await? {
            return Err(PeopleError::NotJoined);
        }
        let now = self.vault.clock().now();
        let (code, hash) = recovery::single(person, self.random());
        let row = account_recovery::Model {
            id: CredentialId::generate(&**self.vault.clock(), self.random()).as_uuid(),
            person: person.as_uuid(),
            begun_by: by.as_uuid(),
            begun_at: now.into(),
            code_hash: Digest(hash.to_vec()),
            expires_at: (now + APPROVAL_LIFE).into(),
            approved_by: None,
            approved_at: None,
            token_hash: None,
            opens_at: None,
            closes_at: None,
            ended_at: None,
            outcome: None,
            identified_by: identified.map(|identified| identified.as_str().to_owned()),
        };
        let told = self.notice(person, NoticeKind::RecoveryBegun, None);
        if !self.store.add_recovery(row.clone(), told).await? {
            return Err(PeopleError::UnderWay);
        }
        Ok(BegunRecovery { recovery: row.into(), code })
    }

    /// Whom a recovery is about, to ask whether somebody may decide on it.
    ///
    /// # Errors
    /// [`PeopleError::Unavailable`].
    pub async fn account_recovery(&self, id: Uuid) -> Result<Option<RecoveryView>, PeopleError> {
        Ok(self.store.recovery(id).await?.map(RecoveryView::from))
    }

    /// The recoveries that have not ended, the oldest first, 200 at most.
    ///
    /// # Errors
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn account_recoveries(
        &self,
        leave: Authorized<ListPeople>,
    ) -> Result<Vec<RecoveryView>, PeopleError> {
        self.check(&leave)?;
        self.under_way((None, false)).await
    }

    /// Of the recoveries that have not ended, those of accounts of whoever is looked after here, each with the chart that the
    /// account reads: for whoever decides on these only.
    ///
    /// # Errors
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn patients_recoveries(
        &self,
        leave: Authorized<ApproveRecovery>,
    ) -> Result<Vec<(RecoveryView, Option<ResourceId>)>, PeopleError> {
        self.check(&leave)?;
        let all = self.under_way((None, true)).await?;
        let charts = self.store.looked_after(all.iter().map(|one| one.person.as_uuid()).collect()).await?;
        let with_chart = |one: RecoveryView| {
            let chart = charts.get(&one.person.as_uuid())?.map(ResourceId::from_uuid);
            Some((one, chart))
        };
        Ok(all.into_iter().filter_map(with_chart).collect())
    }

    /// Approves a recovery; the token goes into the link and nowhere else.
    ///
    /// # Errors
    /// [`PeopleError::NotYours`] when it is not open, was begun by or is for the very person, was begun by somebody in an ordinary role
    /// whom they invited, or would lift a suspension that is not theirs to lift;
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn approve_recovery(
        &self,
        leave: Authorized<ApproveRecovery>,
        recovery: &RecoveryView,
    ) -> Result<(RecoveryView, PlainToken), PeopleError> {
        let person = self.about(&leave, recovery)?;
        let now = self.vault.clock().now();
        let hours = self.settings().await.map_err(unavailable)?.hold_at(now);
        let opens = now + Duration::from_secs(u64::from(hours) * 60 * 60);
        let (token, hash) = token::issue(TokenKind::Recovery, self.random());
        let yes = Approval {
            by: leave.by(),
            at: now,
            token_hash: *hash.as_bytes(),
            opens,
            closes: opens + OPEN_FOR,
        };
        let told = self.notice(person, NoticeKind::RecoveryApproved, None);
        if !self.store.approve_recovery(recovery.id, yes, told).await? {
            return Err(PeopleError::NotYours);
        }
        let approved = RecoveryView {
            approved_by: Some(leave.by()),
            opens: Some(opens),
            lapses: opens + OPEN_FOR,
            ..recovery.clone()
        };
        Ok((approved, token))
    }

    /// Ends a recovery that somebody should not have begun or approved.
    ///
    /// # Errors
    /// [`PeopleError::NotYours`] when it has ended; [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn reject_recovery(
        &self,
        leave: Authorized<ApproveRecovery>,
        recovery: &RecoveryView,
    ) -> Result<(), PeopleError> {
        let told = self.notice(self.about(&leave, recovery)?, NoticeKind::RecoveryEnded, None);
        if self.store.end_recovery(recovery.id, "rejected", told, self.vault.clock().now()).await? {
            Ok(())
        } else {
            Err(PeopleError::NotYours)
        }
    }

    /// The recovery of one's own account that is under way.
    ///
    /// # Errors
    /// [`PeopleError::Unavailable`].
    pub async fn own_recovery(&self, live: &Live) -> Result<Option<RecoveryView>, PeopleError> {
        Ok(self.under_way((Some(live.person.id), false)).await?.into_iter().next())
    }

    /// Ends the recovery of one's own account; `false` when none is under way.
    ///
    /// # Errors
    /// [`PeopleError::Unavailable`].
    pub async fn cancel_recovery(&self, live: &Live) -> Result<bool, PeopleError> {
        let Some(recovery) = self.own_recovery(live).await? else { return Ok(false) };
        let told = self.notice(live.person.id, NoticeKind::RecoveryEnded, None);
        Ok(self.store.end_recovery(recovery.id, "cancelled", told, self.vault.clock().now()).await?)
    }

    /// The recovery that link and code open now.
    pub(super) async fn find_recovery(
        &self,
        link: TokenHash,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<OpenRecovery>, RepositoryError> {
        let Some(row) = self.store.recovery_of(link.as_bytes()).await? else { return Ok(None) };
        let person = PersonId::from_uuid(row.person);
        let stored: [u8; 32] = row.code_hash.0.as_slice().try_into().map_err(|_| rows::malformed())?;
        let view = RecoveryView::from(row.clone());
        let open =
            row.ended_at.is_none() && view.opens.is_some_and(|opens| opens <= now) && now < view.lapses;
        let opened = open && recovery::is_single(&stored, person, code);
        Ok(opened.then_some(OpenRecovery { id: row.id, person }))
    }

    async fn under_way(&self, whose: (Option<PersonId>, bool)) -> Result<Vec<RecoveryView>, PeopleError> {
        let rows = self.store.recoveries(whose, LONGEST_LIST, self.vault.clock().now()).await?;
        Ok(rows.into_iter().map(RecoveryView::from).collect())
    }

    fn about(
        &self,
        leave: &Authorized<ApproveRecovery>,
        recovery: &RecoveryView,
    ) -> Result<PersonId, PeopleError> {
        if self.target(leave)? == recovery.person {
            Ok(recovery.person)
        } else {
            Err(PeopleError::OtherEvidence)
        }
    }
}
