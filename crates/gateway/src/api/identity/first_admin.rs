//! The first administrator of a tenant, whom nobody is there to invite: an act of whoever operates the platform.

use std::sync::Arc;

use carekeep_identity::{
    PlainToken,
    service::{Audience, LoginName, LoginNameError},
    storage::{NewPerson, PeopleError, PgRepository, check_name},
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
    /// The token in the link.
    pub token: PlainToken,
    /// Until when it is good.
    pub expires: Timestamp,
}

impl FirstInvite {
    /// The link to send. The token stands behind `#`, which browsers keep to themselves; `port` is the public one,
    /// unless that is 443.
    #[must_use]
    pub fn link(&self, host: &str, port: Option<u16>) -> String {
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        format!("https://{host}{port}/join#{}", self.token.reveal())
    }
}

/// What became of asking for the first administrator.
pub enum FirstAdmin {
    /// A link was made; the earlier ones are dead.
    Invited(FirstInvite),
    /// That very person has joined already; nothing was changed.
    Joined,
}

/// Whether login and name can be an administrator's, for whoever makes something else first.
///
/// # Errors
/// [`FirstAdminError::Login`], [`PeopleError::Name`].
pub fn check_first_admin(login: &str, name: &str) -> Result<(), FirstAdminError> {
    LoginName::parse(login)?;
    check_name(name)?;
    Ok(())
}

/// [`first_admin_invite`], for whoever repeats it until the person is there.
///
/// # Errors
/// As [`first_admin_invite`], without [`PeopleError::SetUp`].
pub async fn ensure_first_admin(
    vault: &Arc<Vault>,
    tenant: TenantId,
    login: &str,
    name: &str,
) -> Result<FirstAdmin, FirstAdminError> {
    match first_admin_invite(vault, tenant, login, name).await {
        Ok(invite) => Ok(FirstAdmin::Invited(invite)),
        Err(FirstAdminError::People(PeopleError::SetUp)) => Ok(FirstAdmin::Joined),
        Err(error) => Err(error),
    }
}

/// Invites the first administrator of a tenant. Until that person is set up it can be repeated with the same login name,
/// for a new link; from then on it is refused for good.
///
/// # Errors
/// [`PeopleError::SetUp`] when that person has joined, [`PeopleError::NotEmpty`] when the tenant has anybody else;
/// [`FirstAdminError`].
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
        practitioner: None,
    };
    let invited = repository.found(new).await?;
    Ok(FirstInvite { person: invited.person, token: invited.token, expires: invited.invite.expires })
}
