//! The first administrator of a tenant, whom nobody is there to invite: an act of whoever operates the platform.

use std::sync::Arc;

use carekeep_identity::{
    PlainToken,
    service::{Audience, LoginName, LoginNameError},
    storage::{NewPerson, PeopleError, PgRepository},
};
use carekeep_kernel::{PersonId, TenantId, Timestamp};
use carekeep_policy::Role;
use carekeep_vault::{AccessError, Vault};

/// Why there is no invitation.
#[derive(Debug, thiserror::Error)]
pub enum FirstAdminError {
    /// The login name is none.
    #[error(transparent)]
    Login(#[from] LoginNameError),
    /// The tenant has people already, or the storage is away.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// The tenant is not served.
    #[error(transparent)]
    Access(#[from] AccessError),
}

/// The invitation of the first administrator.
pub struct FirstInvite {
    /// The person.
    pub person: PersonId,
    /// The token: the link is `https://<host>/join#<token>`.
    pub token: PlainToken,
    /// Until when it is good.
    pub expires: Timestamp,
}

/// Invites the first administrator of a tenant. Until that person is set up it can be repeated with the same login name,
/// for a new link; from then on it is refused for good.
///
/// # Errors
/// [`PeopleError::NotEmpty`] when the tenant has an administrator or anybody else; [`FirstAdminError`].
pub async fn first_admin_invite(
    vault: &Arc<Vault>,
    tenant: TenantId,
    login: &str,
    name: &str,
) -> Result<FirstInvite, FirstAdminError> {
    let login = LoginName::parse(login)?;
    let repository = PgRepository::open(vault, tenant).await?;
    let new = NewPerson {
        login: &login,
        name,
        audience: Audience::Staff,
        roles: vec![Role::TenantAdmin.as_str().to_owned()],
        patient: None,
        practitioner: None,
    };
    let invited = repository.found(new).await?;
    Ok(FirstInvite { person: invited.person, token: invited.token, expires: invited.invite.expires })
}
