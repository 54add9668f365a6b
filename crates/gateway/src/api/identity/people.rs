//! The people of a tenant, for those who run it. Its patients' accounts are given from their charts, in `patients`.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::{
    service::{Audience, LoginName},
    storage::{Invited, NewPerson, PersonStatus, PersonView},
};
use carekeep_kernel::{PersonId, TenantKind};
use carekeep_policy::Role;
use carekeep_vault::catalogue::{InvitePerson, ListPeople};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    page::{Page, next},
    roles::{Request, ask_all},
    visit::Visit,
};
use crate::{
    api::SignedIn,
    problem::{self, Path, Problem, Query, catalogue},
};

/// Somebody to invite.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMember {
    /// The login name, 1 to 254 characters without blanks.
    login: String,
    /// The name that colleagues see, 1 to 200 characters.
    name: String,
    /// The roles that the person gets when the enrolment is complete; at least one.
    roles: Vec<String>,
}

/// Roles to grant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Roles {
    /// The roles that the person gets when the enrolment is complete, beside those that they hold already.
    roles: Vec<String>,
}

/// An invitation that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct Invitation {
    /// The person's id.
    #[schema(format = "uuid")]
    person: String,
    /// The token, shown once.
    token: String,
    /// The address to send to the person; its fragment is the token and is never sent to a server.
    link: String,
    /// Until when it is good.
    #[schema(format = "date-time")]
    expires: String,
    /// Roles that somebody else has to approve: the person gets them then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(inline)]
    requests: Vec<Request>,
}

/// Which people: a page of all of them, or those with these ids.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    limit: Option<u32>,
    #[serde(default)]
    ids: Option<String>,
}

/// People of the tenant.
#[derive(Serialize, ToSchema)]
pub(super) struct People {
    /// Oldest first.
    #[schema(inline)]
    people: Vec<Member>,
    /// Where the next page starts: give it as `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A person.
#[derive(Serialize, ToSchema)]
struct Member {
    /// The id.
    #[schema(format = "uuid")]
    id: String,
    /// `invited`, `active`, `suspended` or `left`.
    status: &'static str,
    /// When the person was first invited.
    #[schema(format = "date-time")]
    created: String,
    /// The login name. This and what follows only where policy lets you see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<String>,
    /// The name that colleagues see.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `staff` or `patient`.
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<&'static str>,
    /// The roles that the person holds now.
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<Vec<String>>,
}

/// The most ids that one request asks about.
const MOST_IDS: usize = 100;

impl Which {
    /// The ids, if there are any and nothing else.
    fn ids(&self) -> Result<Option<Vec<PersonId>>, Problem> {
        let Some(ids) = &self.ids else { return Ok(None) };
        let ids: Result<Vec<PersonId>, _> = ids.split(',').map(str::parse).collect();
        let ids = ids.map_err(|_| catalogue::MALFORMED_QUERY)?;
        let alone = self.after.is_none() && self.limit.is_none() && ids.len() <= MOST_IDS;
        if alone { Ok(Some(ids)) } else { Err(catalogue::MALFORMED_QUERY) }
    }
}

/// Where somebody stands, in a word.
pub(super) const fn status_name(status: PersonStatus) -> &'static str {
    match status {
        PersonStatus::Invited => "invited",
        PersonStatus::Active => "active",
        PersonStatus::Suspended => "suspended",
        PersonStatus::Left => "left",
    }
}

/// `GET /api/v1/people`
pub(super) async fn list(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let ids = which.ids()?;
    let (after, limit) = Page { after: which.after, limit: which.limit }.read()?;
    let leave = visit.api.vault.authorize::<ListPeople>(&caller, None).await?;
    let repository = visit.identity.repository();
    let (people, next) = match ids {
        Some(ids) => (repository.people_called(leave, &ids).await?, None),
        None => {
            let people = repository.list_people(leave, after, limit).await?;
            let next = next(&people, limit, |person| person.id.to_string());
            (people, next)
        }
    };
    Ok(Json(People { people: people.into_iter().map(member).collect(), next }).into_response())
}

fn member(person: PersonView) -> Member {
    let mut member = Member {
        id: person.id.to_string(),
        status: status_name(person.status),
        created: person.created.to_string(),
        login: None,
        name: None,
        audience: None,
        roles: None,
    };
    if let Some(details) = person.details {
        member.login = Some(details.profile.login.to_string());
        member.name = Some(details.profile.name.to_string());
        member.audience = Some(match details.audience {
            Audience::Staff => "staff",
            Audience::Patient => "patient",
        });
        member.roles = Some(details.roles);
    }
    member
}

/// `POST /api/v1/people`
pub(super) async fn invite(
    SignedIn(caller): SignedIn,
    visit: Visit,
    problem::Json(body): problem::Json<NewMember>,
) -> Result<Response, Problem> {
    let login = LoginName::parse(&body.login).map_err(|_| catalogue::LOGIN_NOT_ALLOWED)?;
    let (roles, audience) = known(&body.roles, caller.tenant_kind())?;
    let deed = format!("invite {}", all(&roles));
    let leave = visit.api.vault.authorize_deed::<InvitePerson>(&caller, None, Some(&deed)).await?;
    let new =
        NewPerson { login: &login, name: &body.name, audience, roles: names(&roles), practitioner: None };
    let invited = visit.identity.repository().invite_person(leave, new).await?;
    let requests = ask_all(&caller, &visit, invited.person, &roles).await?;
    Ok(invitation(&visit, &invited, requests))
}

/// `POST /api/v1/people/{id}/invite`
pub(super) async fn invite_again(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
    problem::Json(body): problem::Json<Roles>,
) -> Result<Response, Problem> {
    let person: PersonId = id.parse().map_err(|_| catalogue::NOT_FOUND)?;
    // None for somebody who has roles already, as whoever an identity provider added may.
    let roles = if body.roles.is_empty() { Vec::new() } else { known(&body.roles, caller.tenant_kind())?.0 };
    let deed = format!("invite again {}", all(&roles));
    let leave = visit.api.vault.authorize_deed::<InvitePerson>(&caller, Some(person), Some(&deed)).await?;
    let invited = visit.identity.repository().invite_again(leave, names(&roles)).await?;
    let requests = ask_all(&caller, &visit, invited.person, &roles).await?;
    Ok(invitation(&visit, &invited, requests))
}

/// The roles that these names are at a tenant of this kind, and whose limits apply to who has them: staff limits are the
/// stricter ones.
fn known(names: &[String], kind: TenantKind) -> Result<(Vec<Role>, Audience), Problem> {
    let roles: Result<Vec<Role>, _> = names.iter().map(|name| name.parse::<Role>()).collect();
    let mut roles = roles.map_err(|_| catalogue::ROLES_NOT_ALLOWED)?;
    roles.sort_unstable();
    roles.dedup();
    // What is a program's alone comes with its token, or by two people's decision about the program.
    let given =
        |role: &Role| role.belongs_in(kind) && !matches!(role, Role::Provisioner | Role::RecordsReader);
    if roles.is_empty() || !roles.iter().all(given) {
        return Err(catalogue::ROLES_NOT_ALLOWED);
    }
    // Whoever makes an invitation could use it: an account that reads a chart is given by whoever may read that chart.
    if roles.contains(&Role::Patient) {
        return Err(catalogue::PATIENTS_ACCOUNT);
    }
    let outside = roles == [Role::Proxy];
    Ok((roles, if outside { Audience::Patient } else { Audience::Staff }))
}

fn all(roles: &[Role]) -> String {
    roles.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" ")
}

/// The roles that come with the invitation itself.
fn names(roles: &[Role]) -> Vec<String> {
    roles.iter().filter(|role| !role.needs_approval()).map(|role| role.as_str().to_owned()).collect()
}

pub(super) fn invitation(visit: &Visit, invited: &Invited, requests: Vec<Request>) -> Response {
    let token = invited.token.reveal();
    let body = Invitation {
        person: invited.person.to_string(),
        token: token.to_owned(),
        link: format!("{}/join#{token}", visit.origin),
        expires: invited.invite.expires.to_string(),
        requests,
    };
    (StatusCode::CREATED, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_known_and_only_who_works_here_gets_the_stricter_limits() {
        let at = |kind, names: &[&str]| {
            known(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), kind)
        };
        let of = |names: &[&str]| at(TenantKind::Clinic, names);
        assert_eq!(of(&["proxy"]).unwrap(), (vec![Role::Proxy], Audience::Patient));
        assert_eq!(
            of(&["proxy", "nurse", "nurse"]).unwrap(),
            (vec![Role::Proxy, Role::Nurse], Audience::Staff)
        );
        assert!(of(&["platform_operator"]).is_err() && of(&["nurse", "partner_admin"]).is_err());
        assert!(at(TenantKind::Platform, &["platform_operator", "auditor"]).is_ok());
        assert!(at(TenantKind::Platform, &["platform_operator", "nurse"]).is_err());
        assert!(at(TenantKind::Partner, &["partner_admin"]).is_ok());
        assert!(at(TenantKind::Partner, &["platform_operator"]).is_err());
        assert!(of(&[]).is_err() && of(&["docter"]).is_err() && of(&["nurse", "patient"]).is_err());
    }

    #[test]
    fn ids_are_asked_about_alone_and_not_too_many_of_them() {
        let id = "018bcfe5-6800-7000-8000-000000000001";
        let of = |ids: &str, limit| Which { after: None, limit, ids: Some(ids.to_owned()) }.ids();
        assert_eq!(of(&format!("{id},{id}"), None).unwrap().unwrap().len(), 2);
        assert_eq!(of(&[id; 100].join(","), None).unwrap().unwrap().len(), 100);
        for (ids, limit) in [("", None), ("x", None), (id, Some(1)), (&*[id; 101].join(","), None)] {
            assert!(of(ids, limit).is_err(), "{ids:.40}");
        }
        assert!(Which { after: None, limit: Some(1), ids: None }.ids().unwrap().is_none());
    }
}
