//! The people of a tenant, for those who run it: list, invite, roles, suspension.
//!
//! Invariant: each takes an [`Authorized`], the evidence that policy allowed it and that the ledger says so, and spends
//! it. The one exception is [`PgRepository::found`], which works only while the tenant has nobody.

use carekeep_kernel::{PersonId, ResourceId, Timestamp};
use carekeep_store::{Member, Names, StoreError, entity};
use carekeep_vault::{
    AccessError, Authorized, Caller, SecretColumn,
    catalogue::{Act, InvitePatient, InvitePerson, ListPeople},
};
use zeroize::Zeroizing;

use super::{PgRepository, rows};
use crate::{
    PlainToken,
    invite::{self, Invitation, InviteRecord},
    service::{Audience, Live, LoginName, RepositoryError},
};

/// The longest list in one answer.
const LONGEST_LIST: u32 = 200;

/// Why something about people was not done.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// Somebody of the tenant has the login name. 409.
    #[error("somebody here has this login name already: use another one")]
    LoginTaken,
    /// The tenant has people; they invite each other. 409.
    #[error("this organisation has people already: let one of them invite")]
    NotEmpty,
    /// A patient's account is for whoever cares for the patient to give. 409.
    #[error("this is a patient's account: whoever cares for the patient invites them, from the chart")]
    PatientsAccount,
    /// Nobody would be left to run the tenant, or to watch over that. 409.
    #[error("this is the last person with that role: give it to somebody else first")]
    LastInRole,
    /// There is no such person. 404.
    #[error("there is no such person here: look at the list again")]
    Absent,
    /// The person has left. 409.
    #[error("this person has left: invite them anew")]
    Left,
    /// There is no such open request, or it is for somebody else to decide on. 409.
    #[error("this request is not for you to decide on, or was decided on already: look at the list again")]
    NotYours,
    /// A yes would go to whoever has the invitation. 409.
    #[error("this person has not joined, or you invited them: let them join, and somebody else decide")]
    NotJoined,
    /// A recovery of the person is under way. 409.
    #[error("a recovery of this account is under way: let it be approved, or end it first")]
    UnderWay,
    /// The same is asked for already. 409.
    #[error("this role was asked for already: let somebody else decide on it")]
    Asked,
    /// The person is set up, or there is no such person. 409.
    #[error("this person is set up already: they sign in, or recover their account")]
    SetUp,
    /// Somebody else suspended the person. 403.
    #[error("this person was suspended by an administrator: let an administrator end that")]
    SuspendedByOthers,
    /// There are as many tokens as there may be. 409.
    #[error("there are as many tokens as there may be: revoke one first")]
    TooManyTokens,
    /// There is no such person or token any more. 404.
    #[error("no such person or token: look at the list again")]
    Gone,
    /// The name is empty or too long. 422.
    #[error("a name has 1 to 200 characters, none of them a control character")]
    Name,
    /// The evidence is for another tenant or for no particular person. 403.
    #[error("not allowed: the permission is for something else")]
    OtherEvidence,
    /// The storage or the key is away. 503.
    #[error("the people of this organisation are not available just now: try again in a few seconds")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<StoreError> for PeopleError {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl From<RepositoryError> for PeopleError {
    fn from(error: RepositoryError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl From<AccessError> for PeopleError {
    fn from(error: AccessError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

/// Somebody to invite. Personal data: no `Debug`.
pub struct NewPerson<'a> {
    /// The login name.
    pub login: &'a LoginName,
    /// The name that colleagues see, 1 to 200 characters.
    pub name: &'a str,
    /// Whose limits apply.
    pub audience: Audience,
    /// Names of the roles to grant when the enrolment is complete.
    pub roles: Vec<String>,
    /// The Practitioner that stands for the person.
    pub practitioner: Option<ResourceId>,
}

/// An invitation that was made. The token goes into the link and nowhere else.
pub struct Invited {
    /// The newcomer.
    pub person: PersonId,
    /// The invitation.
    pub invite: InviteRecord,
    /// The token for the link.
    pub token: PlainToken,
}

/// A person's names, opened. Wiped on drop, no `Debug`.
pub struct Profile {
    /// The login name.
    pub login: Zeroizing<String>,
    /// The name that colleagues see.
    pub name: Zeroizing<String>,
}

/// Where a person stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonStatus {
    /// Has not set up two factors yet.
    Invited,
    /// May sign in.
    Active,
    /// May not sign in for now.
    Suspended,
    /// May not sign in any more.
    Left,
}

/// A person in the list.
pub struct PersonView {
    /// The id.
    pub id: PersonId,
    /// Where the person stands.
    pub status: PersonStatus,
    /// When the person was first invited.
    pub created: Timestamp,
    /// The rest, where policy lets the asker see it: that somebody is a patient is health data.
    pub details: Option<PersonDetails>,
}

/// What is known about a person. Personal data: no `Debug`.
pub struct PersonDetails {
    /// The names.
    pub profile: Profile,
    /// Whose limits apply.
    pub audience: Audience,
    /// Names of the roles that the person holds now.
    pub roles: Vec<String>,
    /// The Practitioner that stands for the person.
    pub practitioner: Option<ResourceId>,
}

type Answer<T> = Result<T, PeopleError>;

impl PgRepository {
    /// People with their roles, oldest first: `limit` (at most 200) of them after `after`.
    ///
    /// # Errors
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn list_people(
        &self,
        leave: Authorized<ListPeople>,
        after: Option<PersonId>,
        limit: u32,
    ) -> Answer<Vec<PersonView>> {
        self.check(&leave)?;
        let members = self.store.members(after, u64::from(limit.min(LONGEST_LIST))).await?;
        self.views(&leave, members).await
    }

    /// The people with these ids, oldest first; an id that is nobody's here is left out.
    ///
    /// # Errors
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn people_called(
        &self,
        leave: Authorized<ListPeople>,
        ids: &[PersonId],
    ) -> Answer<Vec<PersonView>> {
        self.check(&leave)?;
        let members = self.store.members_called(ids).await?;
        self.views(&leave, members).await
    }

    async fn views(&self, leave: &Authorized<ListPeople>, members: Vec<Member>) -> Answer<Vec<PersonView>> {
        let mut views = Vec::with_capacity(members.len());
        for Member { person, roles } in members {
            let details = if leave.shows_names() {
                Some(PersonDetails {
                    profile: self.open_profile(&person).await?,
                    audience: rows::audience(&person.audience),
                    roles,
                    practitioner: person.practitioner.map(ResourceId::from_uuid),
                })
            } else {
                None
            };
            views.push(PersonView {
                id: PersonId::from_uuid(person.id),
                status: status(&person),
                created: person.created_at.into(),
                details,
            });
        }
        Ok(views)
    }

    /// Adds a person and makes the invitation to join.
    ///
    /// # Errors
    /// [`PeopleError::LoginTaken`], [`PeopleError::Name`], [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn invite_person(
        &self,
        leave: Authorized<InvitePerson>,
        new: NewPerson<'_>,
    ) -> Answer<Invited> {
        self.check(&leave)?;
        self.add(&new, None, Some(leave.by())).await?.ok_or(PeopleError::LoginTaken)
    }

    /// Makes the account that reads one chart, and the invitation for its patient. Until the patient has joined it can be
    /// repeated, with the same names or others, for a new link.
    ///
    /// # Errors
    /// [`PeopleError::SetUp`] when the patient has joined, [`PeopleError::LoginTaken`], [`PeopleError::Name`],
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn invite_patient(
        &self,
        leave: Authorized<InvitePatient>,
        new: NewPerson<'_>,
    ) -> Answer<Invited> {
        self.check(&leave)?;
        let patient = leave.patient().ok_or(PeopleError::OtherEvidence)?;
        if self.store.account_of(patient).await?.is_none()
            && let Some(invited) = self.add(&new, Some(patient), Some(leave.by())).await?
        {
            return Ok(invited);
        }
        // It is there, or somebody else was first; or only the login name is somebody's.
        let account = self.store.account_of(patient).await?.ok_or(PeopleError::LoginTaken)?;
        if account.activated_at.is_some() {
            return Err(PeopleError::SetUp);
        }
        let id = PersonId::from_uuid(account.id);
        if !self.store.rename(id, self.names(id, &new).await?).await? {
            return Err(PeopleError::LoginTaken);
        }
        self.renew(id, leave.by(), new.roles).await
    }

    /// Makes a new invitation for somebody who is not set up yet; the earlier ones, and what was begun with them, are
    /// gone.
    ///
    /// # Errors
    /// [`PeopleError::SetUp`], [`PeopleError::PatientsAccount`], [`PeopleError::OtherEvidence`],
    /// [`PeopleError::Unavailable`].
    pub async fn invite_again(&self, leave: Authorized<InvitePerson>, roles: Vec<String>) -> Answer<Invited> {
        let person = self.target(&leave)?;
        if self.store.person(person).await?.is_some_and(|row| row.patient.is_some()) {
            return Err(PeopleError::PatientsAccount);
        }
        self.renew(person, leave.by(), roles).await
    }

    /// Adds the first person of a tenant, whom nobody is there to invite: for whoever operates the platform. Until that
    /// person is set up it can be repeated with the same login name, for a new link.
    ///
    /// # Errors
    /// [`PeopleError::SetUp`] when that very person is set up, [`PeopleError::NotEmpty`] when the tenant has somebody
    /// else, [`PeopleError::Name`], [`PeopleError::Unavailable`].
    pub async fn found(&self, new: NewPerson<'_>) -> Answer<Invited> {
        if let Some(founder) = self.store.founder().await? {
            let token = self.vault.login_token(self.tenant, new.login.as_str()).await?;
            if founder.login_token != token {
                return Err(PeopleError::NotEmpty);
            }
            let id = PersonId::from_uuid(founder.id);
            return self.renew(id, id, new.roles).await;
        }
        if self.store.has_people().await? {
            return Err(PeopleError::NotEmpty);
        }
        self.add(&new, None, None).await?.ok_or(PeopleError::NotEmpty)
    }

    /// The names of the person of a session, for showing and for enrolling factors.
    ///
    /// # Errors
    /// [`PeopleError::Unavailable`].
    pub async fn profile(&self, live: &Live) -> Answer<Profile> {
        self.own_profile(live.person.id).await
    }

    /// The names of a caller.
    ///
    /// # Errors
    /// [`PeopleError::Unavailable`].
    pub async fn profile_of_caller(&self, caller: &Caller) -> Answer<Profile> {
        if caller.tenant() == self.tenant {
            self.own_profile(caller.person()).await
        } else {
            Err(PeopleError::OtherEvidence)
        }
    }

    async fn own_profile(&self, id: PersonId) -> Answer<Profile> {
        let gone = || StoreError { cause: "the person is gone".to_owned() };
        self.open_profile(&self.store.person(id).await?.ok_or_else(gone)?).await
    }

    pub(super) async fn open_profile(&self, row: &entity::person::Model) -> Answer<Profile> {
        let id = row.id.as_bytes();
        let login = self.open_sealed(SecretColumn::PersonLogin, id, &row.sealed_login).await?;
        let name = self.open_sealed(SecretColumn::PersonName, id, &row.sealed_name).await?;
        Ok(Profile { login: text(&login)?, name: text(&name)? })
    }

    pub(super) fn check<A: Act>(&self, leave: &Authorized<A>) -> Answer<()> {
        if leave.tenant() == self.tenant { Ok(()) } else { Err(PeopleError::OtherEvidence) }
    }

    pub(super) fn target<A: Act>(&self, leave: &Authorized<A>) -> Answer<PersonId> {
        self.check(leave)?;
        leave.about().ok_or(PeopleError::OtherEvidence)
    }

    async fn names(&self, id: PersonId, new: &NewPerson<'_>) -> Answer<Names> {
        let (login, name, row) = (new.login.as_str(), check_name(new.name)?, id.as_bytes());
        Ok(Names {
            login_token: self.vault.login_token(self.tenant, login).await?,
            sealed_login: self.seal(SecretColumn::PersonLogin, row, login.as_bytes()).await?,
            sealed_name: self.seal(SecretColumn::PersonName, row, name.as_bytes()).await?,
        })
    }

    /// Adds a person; `None` when somebody was there already. Without `by` it is the founder.
    async fn add(
        &self,
        new: &NewPerson<'_>,
        patient: Option<ResourceId>,
        by: Option<PersonId>,
    ) -> Answer<Option<Invited>> {
        let id = PersonId::generate(&**self.vault.clock(), self.random());
        let names = self.names(id, new).await?;
        let row = entity::person::Model {
            id: id.as_uuid(),
            login_token: names.login_token,
            sealed_login: names.sealed_login,
            sealed_name: names.sealed_name,
            audience: rows::audience_name(new.audience).to_owned(),
            patient: patient.map(|patient| patient.as_uuid()),
            practitioner: new.practitioner.map(|practitioner| practitioner.as_uuid()),
            founder: by.is_none(),
            created_at: self.vault.clock().now().into(),
            activated_at: None,
            suspended_at: None,
            devices_cleared_at: None,
            left_at: None,
            suspended_by: None,
            changed_at: None,
        };
        let (invite, token) = self.issue(id, by.unwrap_or(id), new.roles.clone());
        let added = self.store.add_person(row, rows::invite_row(&invite)).await?;
        Ok(added.then_some(Invited { person: id, invite, token }))
    }

    async fn renew(&self, person: PersonId, by: PersonId, roles: Vec<String>) -> Answer<Invited> {
        match self.store.person(person).await? {
            Some(row) if row.left_at.is_some() || row.suspended_at.is_some() => {
                return Err(PeopleError::Left);
            }
            Some(row) if row.activated_at.is_none() => {}
            _ => return Err(PeopleError::SetUp),
        }
        self.store.withdraw_invites(person, self.vault.clock().now()).await?;
        let (invite, token) = self.issue(person, by, roles);
        self.store.add_invite(rows::invite_row(&invite)).await?;
        Ok(Invited { person, invite, token })
    }

    fn issue(
        &self,
        person: PersonId,
        invited_by: PersonId,
        roles: Vec<String>,
    ) -> (InviteRecord, PlainToken) {
        let invitation = Invitation { tenant: self.tenant, person, invited_by, roles };
        invite::issue(invitation, &**self.vault.clock(), self.random())
    }
}

/// The name of a person as it is kept, without blanks around it.
///
/// # Errors
/// [`PeopleError::Name`] when it is empty, too long or holds control characters.
pub fn check_name(name: &str) -> Answer<&str> {
    let name = name.trim();
    if (1..=200).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        Ok(name)
    } else {
        Err(PeopleError::Name)
    }
}

fn text(bytes: &[u8]) -> Answer<Zeroizing<String>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(StoreError { cause: "a stored name is no text".to_owned() }.into()),
    }
}

pub(super) const fn status(person: &entity::person::Model) -> PersonStatus {
    if person.left_at.is_some() {
        PersonStatus::Left
    } else if person.suspended_at.is_some() {
        PersonStatus::Suspended
    } else if person.activated_at.is_some() {
        PersonStatus::Active
    } else {
        PersonStatus::Invited
    }
}
