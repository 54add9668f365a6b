//! What becomes of people, for those who run the tenant: roles, suspension, leaving.
//!
//! Invariant: a role that needs approval is granted by [`PgRepository::decide`] and by nothing else once the tenant has its
//! first administrator. Which roles those are, the caller says: identity knows roles by their names only.

use carekeep_kernel::{CredentialId, PersonId, Timestamp};
use carekeep_store::{
    Changed, Decided, NewGrant,
    entity::{oauth_client, role_request},
};
use carekeep_vault::{
    Authorized,
    catalogue::{ApproveRole, GrantRole, ListPeople, RemovePerson, SuspendPerson},
};
use std::time::Duration;
use uuid::Uuid;

use super::{NoticeKind, PgRepository, people::PeopleError, settings::NEEDED};

type Answer<T> = Result<T, PeopleError>;

/// The role of programs that read charts. Not even the platform's operator gives it: nobody stands in for a privacy officer.
pub(super) const READER: &str = "records_reader";
/// How long a request waits for somebody to decide on it.
const REQUEST_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The longest list of requests in one answer.
const LONGEST_LIST: u64 = 200;

/// A role that somebody asked for and nobody decided on yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleRequest {
    /// Its id.
    pub id: Uuid,
    /// Who is to get the role.
    pub person: PersonId,
    /// The role's name.
    pub role: String,
    /// Who asked.
    pub requested_by: PersonId,
    /// When.
    pub requested: Timestamp,
    /// When it is void.
    pub expires: Timestamp,
    /// Who invited the person; nobody until the person has joined.
    pub invited_by: Option<PersonId>,
    /// The app, for the account of one that acts for itself.
    pub program: Option<Program>,
}

/// An app that acts for itself, as whoever decides about it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The `client_id`.
    pub client: Uuid,
    /// Its name.
    pub name: String,
    /// The most that it may ask for.
    pub scopes: String,
}

impl From<oauth_client::Model> for Program {
    fn from(row: oauth_client::Model) -> Self {
        Self { client: row.id, name: row.name, scopes: row.scopes }
    }
}

impl From<role_request::Model> for RoleRequest {
    fn from(row: role_request::Model) -> Self {
        Self {
            id: row.id,
            person: PersonId::from_uuid(row.person),
            role: row.role,
            requested_by: PersonId::from_uuid(row.requested_by),
            requested: row.requested_at.into(),
            expires: row.expires_at.into(),
            invited_by: None,
            program: None,
        }
    }
}

fn done(changed: Changed) -> Answer<bool> {
    match changed {
        Changed::Done => Ok(true),
        Changed::Nothing => Ok(false),
        Changed::LastInRole => Err(PeopleError::LastInRole),
    }
}

impl PgRepository {
    /// Gives a role; `false` when the person holds it already.
    ///
    /// # Errors
    /// [`PeopleError::Left`], [`PeopleError::PatientsAccount`], [`PeopleError::OtherEvidence`],
    /// [`PeopleError::Unavailable`].
    pub async fn grant_role(&self, leave: Authorized<GrantRole>, role: &str) -> Answer<bool> {
        let person = self.works_here(self.target(&leave)?).await?;
        let granted = self.store.grant_role(self.grant(person, role, Some(leave.by()))).await?;
        self.come_in_anew(person, role).await?;
        if granted {
            self.tell(person, NoticeKind::RoleGiven, role).await?;
        }
        Ok(granted)
    }

    /// Asks for a role that somebody else has to approve; `None` when the person holds it already.
    ///
    /// # Errors
    /// [`PeopleError::Asked`], [`PeopleError::Left`], [`PeopleError::PatientsAccount`], [`PeopleError::OtherEvidence`],
    /// [`PeopleError::Unavailable`].
    pub async fn request_role(
        &self,
        leave: Authorized<GrantRole>,
        role: &str,
    ) -> Answer<Option<RoleRequest>> {
        let person = self.works_here(self.target(&leave)?).await?;
        if self.store.holds_role(person, role).await? {
            return Ok(None);
        }
        let now = self.vault.clock().now();
        let row = role_request::Model {
            id: self.fresh_id(),
            person: person.as_uuid(),
            role: role.to_owned(),
            requested_by: leave.by().as_uuid(),
            requested_at: now.into(),
            expires_at: (now + REQUEST_LIFE).into(),
            decided_at: None,
            approved: None,
            decided_by: None,
        };
        if self.store.add_role_request(row.clone()).await? {
            Ok(Some(row.into()))
        } else {
            Err(PeopleError::Asked)
        }
    }

    /// The requests that wait for a decision, the oldest first, 200 at most.
    ///
    /// # Errors
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn role_requests(&self, leave: Authorized<ListPeople>) -> Answer<Vec<RoleRequest>> {
        self.check(&leave)?;
        self.waiting().await
    }

    /// The requests that wait for a decision, for the platform's operator.
    ///
    /// # Errors
    /// [`PeopleError::Unavailable`].
    pub async fn waiting(&self) -> Answer<Vec<RoleRequest>> {
        let rows = self.store.role_requests(self.vault.clock().now(), LONGEST_LIST).await?;
        let people: Vec<Uuid> = rows.iter().map(|row| row.person).collect();
        let inviters = self.store.inviters(people.clone()).await?;
        let mut programs = self.store.programs(people).await?;
        let whole = |row: role_request::Model| RoleRequest {
            invited_by: inviters.get(&row.person).copied().map(PersonId::from_uuid),
            program: programs.remove(&row.person).map(Program::from),
            ..row.into()
        };
        Ok(rows.into_iter().map(whole).collect())
    }

    /// Whom a request is about, to ask whether somebody may decide on it.
    ///
    /// # Errors
    /// [`PeopleError::Unavailable`].
    pub async fn role_request(&self, id: Uuid) -> Answer<Option<RoleRequest>> {
        Ok(self.store.role_request(id).await?.map(RoleRequest::from))
    }

    /// The app that acts for itself by this account, if it is that of one.
    ///
    /// # Errors
    /// [`PeopleError::Unavailable`].
    pub async fn program(&self, account: PersonId) -> Answer<Option<Program>> {
        let mut found = self.store.programs(vec![account.as_uuid()]).await?;
        Ok(found.remove(&account.as_uuid()).map(Program::from))
    }

    /// Decides on a request: a yes grants the role.
    ///
    /// # Errors
    /// [`PeopleError::NotYours`] when it was decided on, has expired, or was asked for by the very person, for them, or for
    /// a program that they registered; [`PeopleError::NotJoined`] for a yes to somebody who has not joined, or whom the very person invited;
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn decide(
        &self,
        leave: Authorized<ApproveRole>,
        request: &RoleRequest,
        approved: bool,
    ) -> Answer<()> {
        let asked = leave.role().is_some_and(|role| role.as_str() == request.role);
        if !asked || self.target(&leave)? != request.person {
            return Err(PeopleError::OtherEvidence);
        }
        self.settle(request, (Some(leave.by()), approved)).await
    }

    /// Decides on a request as the platform's operator: for a tenant in which nobody else could. That a program reads charts
    /// can only be refused so.
    ///
    /// # Errors
    /// [`PeopleError::NotYours`] when there is no such open request or it is not the operator's, [`PeopleError::NotJoined`],
    /// [`PeopleError::Unavailable`].
    pub async fn decide_as_operator(&self, id: Uuid, approved: bool) -> Answer<RoleRequest> {
        let request = self.role_request(id).await?.ok_or(PeopleError::NotYours)?;
        if approved && request.role == READER {
            return Err(PeopleError::NotYours);
        }
        self.settle(&request, (None, approved)).await?;
        Ok(request)
    }

    async fn settle(&self, request: &RoleRequest, decision: (Option<PersonId>, bool)) -> Answer<()> {
        let grant = decision.1.then(|| self.grant(request.person, &request.role, decision.0));
        let now = self.vault.clock().now();
        match self.store.decide_role_request(request.id, decision, grant, now).await? {
            Decided::Done if decision.1 => {
                self.come_in_anew(request.person, &request.role).await?;
                self.tell(request.person, NoticeKind::RoleGiven, &request.role).await
            }
            Decided::Done => Ok(()),
            Decided::NotYours => Err(PeopleError::NotYours),
            Decided::NotJoined => Err(PeopleError::NotJoined),
        }
    }

    /// Takes a role; `false` when the person does not hold it. Holds for every request within a second.
    ///
    /// # Errors
    /// [`PeopleError::LastInRole`], [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn revoke_role(&self, leave: Authorized<GrantRole>, role: &str) -> Answer<bool> {
        self.take(self.target(&leave)?, role).await
    }

    /// Takes the role that reads charts from a program, by whoever could have agreed to it; `false` when the program does
    /// not hold it. Holds for every request within a second.
    ///
    /// # Errors
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn revoke_reading(&self, leave: Authorized<ApproveRole>) -> Answer<bool> {
        if leave.role().is_none_or(|role| role.as_str() != READER) {
            return Err(PeopleError::OtherEvidence);
        }
        self.take(self.target(&leave)?, READER).await
    }

    async fn take(&self, person: PersonId, role: &str) -> Answer<bool> {
        let taken = done(self.store.revoke_role(person, role, self.vault.clock().now()).await?)?;
        if taken {
            self.tell(person, NoticeKind::RoleTaken, role).await?;
            if role == "tenant_admin" {
                self.tell_of_tokens(person).await?;
            }
        }
        Ok(taken)
    }

    /// Suspends a person and ends all their sessions, within a second everywhere; `false` when they are suspended already.
    ///
    /// # Errors
    /// [`PeopleError::LastInRole`], [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn suspend(&self, leave: Authorized<SuspendPerson>) -> Answer<bool> {
        let person = self.target(&leave)?;
        let suspended = done(self.store.suspend(person, leave.by(), self.vault.clock().now()).await?)?;
        if suspended {
            self.tell_of_tokens(person).await?;
        }
        Ok(suspended)
    }

    /// Ends a suspension; `false` when there is none.
    ///
    /// # Errors
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn reinstate(&self, leave: Authorized<SuspendPerson>) -> Answer<bool> {
        let person = self.target(&leave)?;
        done(self.store.reinstate(person, self.vault.clock().now()).await?)
    }

    /// Lets a person leave for good, with all sessions, roles and invitations; `false` when they have left already.
    ///
    /// # Errors
    /// [`PeopleError::LastInRole`], [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn remove(&self, leave: Authorized<RemovePerson>) -> Answer<bool> {
        let person = self.target(&leave)?;
        let left = done(self.store.leave(person, self.vault.clock().now()).await?)?;
        if left {
            self.tell_of_tokens(person).await?;
        }
        Ok(left)
    }

    /// Signs out who got a role that restricts passkeys: the session may rest on one that counts no more. One of those who decide about
    /// others does not go on in a session that the provider alone vouched for.
    pub(super) async fn come_in_anew(&self, person: PersonId, role: &str) -> Answer<()> {
        let now = self.vault.clock().now();
        if self.restricts(role).await? {
            self.store.revoke_sessions(person, None, now).await?;
        } else if NEEDED.contains(&role) {
            self.store.end_federated_sessions(person, now).await?;
        }
        Ok(())
    }

    pub(super) async fn tell(&self, person: PersonId, kind: NoticeKind, role: &str) -> Answer<()> {
        Ok(self.notify(person, kind, Some(role)).await?)
    }

    /// Roles are for those who work here and have not left; a patient's account is for the chart that it was made for.
    async fn works_here(&self, person: PersonId) -> Answer<PersonId> {
        match self.store.person(person).await? {
            Some(row) if row.patient.is_some() => Err(PeopleError::PatientsAccount),
            Some(row) if row.left_at.is_none() => Ok(person),
            _ => Err(PeopleError::Left),
        }
    }

    fn grant(&self, person: PersonId, role: &str, granted_by: Option<PersonId>) -> NewGrant {
        NewGrant {
            id: self.fresh_id(),
            person,
            role: role.to_owned(),
            granted_by,
            at: self.vault.clock().now(),
        }
    }

    fn fresh_id(&self) -> Uuid {
        CredentialId::generate(&**self.vault.clock(), self.random()).as_uuid()
    }
}
