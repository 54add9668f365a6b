//! Staff, for a tenant's identity provider (RFC 7643, 7644).
//!
//! Invariant: as in `people`: each takes an [`Authorized`] for the person that it is about, and spends it. No answer is about
//! anybody but staff (`carekeep_store`'s `staff`), and nothing here makes an invitation, a session or a factor.

use carekeep_kernel::{PersonId, Timestamp};
use carekeep_store::{Change, NewGrant, Staff, Which, columns::Sealed, entity};
use carekeep_vault::{
    Authorized, SecretColumn,
    catalogue::{ProvisionEnd, ProvisionList, ProvisionPerson, ProvisionRole, ProvisionSuspend},
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    NoticeKind, PgRepository,
    people::{PeopleError, Profile, check_name},
};
use crate::service::{LoginName, RepositoryError};

type Answer<T> = Result<T, PeopleError>;

/// What an identity provider says of somebody beside the login name. Personal data: no `Debug`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// Its own id of the person.
    pub external_id: Option<String>,
    /// `displayName`.
    pub display_name: Option<String>,
    /// `name.formatted`.
    pub formatted: Option<String>,
    /// `name.givenName`.
    pub given_name: Option<String>,
    /// `name.familyName`.
    pub family_name: Option<String>,
}

impl Attributes {
    /// The name that colleagues see: the first of display name, formatted name, given and family name.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        let parts = [self.given_name.as_deref(), self.family_name.as_deref()];
        let both = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        let named = self.display_name.clone().or_else(|| self.formatted.clone());
        named.or((!both.is_empty()).then_some(both))
    }
}

/// Somebody to add, or what somebody is to become.
pub struct NewStaff {
    /// The login name.
    pub login: LoginName,
    /// The rest.
    pub attributes: Attributes,
}

/// Somebody who works here, opened. Personal data: no `Debug`.
pub struct StaffView {
    /// The person.
    pub id: PersonId,
    /// The names.
    pub profile: Profile,
    /// What an identity provider says of them.
    pub attributes: Attributes,
    /// Whether they may sign in, once they have joined.
    pub active: bool,
    /// Names of the roles that they hold now, sorted.
    pub roles: Vec<String>,
    /// When they were added.
    pub created: Timestamp,
    /// When names or state last changed.
    pub changed: Timestamp,
}

impl PgRepository {
    /// The blind token of an identity provider's own id, to look for it.
    ///
    /// # Errors
    /// [`PeopleError::Unavailable`].
    pub async fn which_external(&self, id: &str) -> Answer<Which> {
        Ok(Which::External(self.vault.external_token(self.tenant, id).await?))
    }

    /// Who has a login name; nobody if it cannot be one.
    ///
    /// # Errors
    /// [`PeopleError::Unavailable`].
    pub async fn which_login(&self, text: &str) -> Answer<Which> {
        match LoginName::parse(text) {
            Ok(login) => Ok(Which::Login(self.vault.login_token(self.tenant, login.as_str()).await?)),
            Err(_) => Ok(Which::Nobody),
        }
    }

    /// Some of the staff, the oldest first, and how many there are.
    ///
    /// # Errors
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn list_staff(
        &self,
        leave: Authorized<ProvisionList>,
        which: &Which,
        (skip, limit): (u64, u64),
    ) -> Answer<(u64, Vec<StaffView>)> {
        self.check(&leave)?;
        let (total, staff) = self.store.staff(which, skip, limit).await?;
        let mut views = Vec::with_capacity(staff.len());
        for one in staff {
            views.push(self.view(one).await?);
        }
        Ok((total, views))
    }

    /// One of the staff.
    ///
    /// # Errors
    /// [`PeopleError::Gone`], [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn read_staff(&self, leave: Authorized<ProvisionList>) -> Answer<StaffView> {
        let person = self.target(&leave)?;
        self.staff_view(person).await
    }

    /// Those of the staff who hold a role.
    ///
    /// # Errors
    /// [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn list_holders(&self, leave: &Authorized<ProvisionList>, role: &str) -> Answer<Vec<PersonId>> {
        self.check(leave)?;
        let holders = self.store.holders(role).await?;
        Ok(holders.into_iter().map(PersonId::from_uuid).collect())
    }

    /// Adds somebody, whom nobody has invited yet: whoever runs the tenant finds them in the list of people and makes the link.
    ///
    /// # Errors
    /// [`PeopleError::LoginTaken`], [`PeopleError::Name`], [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn add_staff(
        &self,
        leave: Authorized<ProvisionPerson>,
        new: &NewStaff,
        active: bool,
    ) -> Answer<StaffView> {
        self.check(&leave)?;
        let id = PersonId::generate(&**self.vault.clock(), self.random());
        let (names, said) = self.said(id, new).await?;
        let now = self.vault.clock().now();
        let row = entity::person::Model {
            id: id.as_uuid(),
            login_token: names.login_token,
            sealed_login: names.sealed_login,
            sealed_name: names.sealed_name,
            audience: "staff".to_owned(),
            patient: None,
            practitioner: None,
            founder: false,
            created_at: now.into(),
            activated_at: None,
            suspended_at: (!active).then(|| now.into()),
            left_at: None,
            devices_cleared_at: None,
            suspended_by: (!active).then(|| leave.by().as_uuid()),
            changed_at: None,
        };
        if !self.store.add_provisioned(row, said).await? {
            return Err(PeopleError::LoginTaken);
        }
        self.staff_view(id).await
    }

    /// Changes names, and suspends or reinstates; each needs leave of its own, and both are done or none.
    ///
    /// # Errors
    /// [`PeopleError::LoginTaken`], [`PeopleError::Name`], [`PeopleError::LastInRole`], [`PeopleError::SuspendedByOthers`],
    /// [`PeopleError::Gone`], [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn change_staff(
        &self,
        id: PersonId,
        said: Option<(Authorized<ProvisionPerson>, &NewStaff)>,
        active: Option<(Authorized<ProvisionSuspend>, bool)>,
    ) -> Answer<StaffView> {
        let mut by = None;
        let said = match said {
            Some((leave, new)) => {
                self.is_about(self.target(&leave)?, id)?;
                by = Some(leave.by());
                Some(self.said(id, new).await?)
            }
            None => None,
        };
        if let Some((leave, _)) = &active {
            self.is_about(self.target(leave)?, id)?;
            by = Some(leave.by());
        }
        if let Some(by) = by {
            let now = self.vault.clock().now();
            let active = active.map(|(_, active)| active);
            match self.store.change_provisioned((id, by), said, active, now).await? {
                Change::Suspended => self.tell_of_tokens(id).await?,
                Change::Done => {}
                Change::LoginTaken => return Err(PeopleError::LoginTaken),
                Change::LastInRole => return Err(PeopleError::LastInRole),
                Change::SuspendedByOthers => return Err(PeopleError::SuspendedByOthers),
                Change::Gone => return Err(PeopleError::Gone),
            }
        }
        self.staff_view(id).await
    }

    /// Gives a role to some of the staff and takes it from others: all of it or nothing.
    ///
    /// # Errors
    /// [`PeopleError::Gone`], [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn change_holders(
        &self,
        role: &str,
        give: Vec<Authorized<ProvisionRole>>,
        take: Vec<Authorized<ProvisionRole>>,
    ) -> Answer<()> {
        let now = self.vault.clock().now();
        let mut grants = Vec::with_capacity(give.len());
        for leave in &give {
            let person = self.target(leave)?;
            let id = self.fresh();
            grants.push(NewGrant {
                id,
                person,
                role: role.to_owned(),
                granted_by: Some(leave.by()),
                at: now,
            });
        }
        let take = take.iter().map(|leave| self.target(leave)).collect::<Answer<Vec<_>>>()?;
        let (given, taken) = self.store.change_holders(role, grants, &take, now).await?;
        for person in given {
            self.come_in_anew(person, role).await?;
            self.tell(person, NoticeKind::RoleGiven, role).await?;
        }
        for person in taken {
            self.tell(person, NoticeKind::RoleTaken, role).await?;
        }
        Ok(())
    }

    /// Lets one of the staff leave for good.
    ///
    /// # Errors
    /// [`PeopleError::LastInRole`], [`PeopleError::OtherEvidence`], [`PeopleError::Unavailable`].
    pub async fn end_staff(&self, leave: Authorized<ProvisionEnd>) -> Answer<()> {
        let person = self.target(&leave)?;
        match self.store.leave(person, self.vault.clock().now()).await? {
            carekeep_store::Changed::LastInRole => Err(PeopleError::LastInRole),
            carekeep_store::Changed::Done => self.tell_of_tokens(person).await,
            carekeep_store::Changed::Nothing => Ok(()),
        }
    }

    fn is_about(&self, evidence: PersonId, person: PersonId) -> Answer<()> {
        if evidence == person { Ok(()) } else { Err(PeopleError::OtherEvidence) }
    }

    async fn staff_view(&self, id: PersonId) -> Answer<StaffView> {
        let staff = self.store.one_of_staff(id).await?.ok_or(PeopleError::Gone)?;
        self.view(staff).await
    }

    async fn view(&self, staff: Staff) -> Answer<StaffView> {
        let Staff { person, provisioned, roles } = staff;
        let profile = self.open_profile(&person).await?;
        let attributes = match provisioned {
            Some(row) => self.open_attributes(&person, &row.sealed_attributes).await?,
            None => Attributes { display_name: Some(profile.name.to_string()), ..Attributes::default() },
        };
        Ok(StaffView {
            id: PersonId::from_uuid(person.id),
            profile,
            attributes,
            active: person.suspended_at.is_none(),
            roles,
            created: person.created_at.into(),
            changed: person.changed_at.unwrap_or(person.created_at).into(),
        })
    }

    /// The identity provider's own id of one of the staff.
    pub(super) async fn external_id(&self, staff: &Staff) -> Result<Option<String>, RepositoryError> {
        let Some(row) = &staff.provisioned else { return Ok(None) };
        let opened = self.open_attributes(&staff.person, &row.sealed_attributes).await;
        opened.map(|attributes| attributes.external_id).map_err(RepositoryError::new)
    }

    async fn open_attributes(&self, person: &entity::person::Model, sealed: &Sealed) -> Answer<Attributes> {
        let plain = self.open_sealed(SecretColumn::Provisioned, person.id.as_bytes(), sealed).await?;
        serde_json::from_slice(&plain).map_err(|_| PeopleError::Unavailable("malformed attributes".into()))
    }

    async fn said(
        &self,
        id: PersonId,
        new: &NewStaff,
    ) -> Answer<(carekeep_store::Names, entity::provisioned::Model)> {
        let (login, row) = (new.login.as_str(), id.as_bytes());
        let name = new.attributes.shown().unwrap_or_else(|| login.to_owned());
        let name = check_name(&name)?;
        let plain = serde_json::to_vec(&new.attributes).map(Zeroizing::new);
        let plain = plain.map_err(|_| PeopleError::Unavailable("malformed attributes".into()))?;
        let external_token = match &new.attributes.external_id {
            Some(external) => Some(self.vault.external_token(self.tenant, external).await?),
            None => None,
        };
        let names = carekeep_store::Names {
            login_token: self.vault.login_token(self.tenant, login).await?,
            sealed_login: self.seal(SecretColumn::PersonLogin, row, login.as_bytes()).await?,
            sealed_name: self.seal(SecretColumn::PersonName, row, name.as_bytes()).await?,
        };
        let sealed_attributes = self.seal(SecretColumn::Provisioned, row, &plain).await?;
        let said = entity::provisioned::Model { person: id.as_uuid(), external_token, sealed_attributes };
        Ok((names, said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colleagues_see_the_display_name_or_else_what_is_nearest_to_it() {
        let some = |text: &str| Some(text.to_owned());
        let mut said = Attributes {
            display_name: some("Dr. A"),
            formatted: some("Ada L"),
            given_name: some("Ada"),
            family_name: some("Lovelace"),
            external_id: None,
        };
        assert_eq!(said.shown(), some("Dr. A"));
        said.display_name = None;
        assert_eq!(said.shown(), some("Ada L"));
        said.formatted = None;
        assert_eq!(said.shown(), some("Ada Lovelace"));
        said.given_name = None;
        assert_eq!(said.shown(), some("Lovelace"));
        said.family_name = None;
        assert_eq!(said.shown(), None);
    }
}
