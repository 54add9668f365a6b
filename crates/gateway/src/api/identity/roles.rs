//! Roles given and taken, people suspended and let go.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use carekeep_identity::storage::{PeopleError, Program, RoleRequest};
use carekeep_kernel::{PersonId, TenantKind};
use carekeep_policy::Role;
use carekeep_vault::{
    Caller,
    catalogue::{ApproveRole, GrantRole, ListPeople, RemovePerson, SuspendPerson},
};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::visit::Visit;
use crate::{
    api::SignedIn,
    problem::{Path, Problem, catalogue},
};

/// A role that waits for somebody else's decision.
#[derive(Serialize, ToSchema)]
pub struct Request {
    /// Its id.
    #[schema(format = "uuid")]
    id: String,
    /// Who is to get the role.
    #[schema(format = "uuid")]
    person: String,
    /// The role.
    role: String,
    /// Who asked for it.
    #[schema(format = "uuid")]
    requested_by: String,
    /// When.
    #[schema(format = "date-time")]
    requested: String,
    /// Until when somebody can decide on it.
    #[schema(format = "date-time")]
    expires: String,
    /// Who invited the person; absent until the person has joined, and until then nobody can say yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "uuid")]
    invited_by: Option<String>,
    /// The app that it is for, when it is for the account of one that acts for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    app: Option<AppOfRequest>,
}

/// An app that is to get a role.
#[derive(Serialize, ToSchema)]
struct AppOfRequest {
    /// Its id.
    #[schema(format = "uuid")]
    client_id: String,
    /// Its name.
    client_name: String,
    /// The most that it may ask for.
    scope: String,
}

impl From<Program> for AppOfRequest {
    fn from(app: Program) -> Self {
        Self { client_id: app.client.to_string(), client_name: app.name, scope: app.scopes }
    }
}

impl From<RoleRequest> for Request {
    fn from(request: RoleRequest) -> Self {
        Self {
            id: request.id.to_string(),
            person: request.person.to_string(),
            role: request.role,
            requested_by: request.requested_by.to_string(),
            requested: request.requested.to_string(),
            expires: request.expires.to_string(),
            invited_by: request.invited_by.map(|person| person.to_string()),
            app: request.program.map(AppOfRequest::from),
        }
    }
}

/// What became of a role.
#[derive(Serialize, ToSchema)]
pub(super) struct Given {
    /// `granted`, `held` when the person had it already, or `requested`: somebody else has to approve it.
    state: &'static str,
    /// The request, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(inline)]
    request: Option<Request>,
}

/// Roles that wait for a decision.
#[derive(Serialize, ToSchema)]
pub(super) struct Requests {
    /// The oldest first.
    #[schema(inline)]
    requests: Vec<Request>,
}

/// `PUT /api/v1/people/{id}/roles/{role}`
pub(super) async fn grant(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path((id, role)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (person, role) = (person(&id)?, known(&role, caller.tenant_kind())?);
    let given = if role.needs_approval() {
        let request = ask(&caller, &visit, person, role).await??.map(Request::from);
        Given { state: if request.is_some() { "requested" } else { "held" }, request }
    } else {
        let deed = format!("grant {role}");
        let leave = visit.api.vault.authorize_role::<GrantRole>(&caller, person, role, &deed).await?;
        let granted = visit.identity.repository().grant_role(leave, role.as_str()).await?;
        Given { state: if granted { "granted" } else { "held" }, request: None }
    };
    Ok(Json(given).into_response())
}

async fn ask(
    caller: &Caller,
    visit: &Visit,
    person: PersonId,
    role: Role,
) -> Result<Result<Option<RoleRequest>, PeopleError>, Problem> {
    let deed = format!("request {role}{}", of_program(visit, role, person).await?);
    let leave = visit.api.vault.authorize_role::<GrantRole>(caller, person, role, &deed).await?;
    Ok(visit.identity.repository().request_role(leave, role.as_str()).await)
}

/// Which app it is, as it goes on record where a role is a program's: that it was this one is what somebody looks for.
async fn of_program(visit: &Visit, role: Role, person: PersonId) -> Result<String, Problem> {
    if role != Role::RecordsReader {
        return Ok(String::new());
    }
    let program = visit.identity.repository().program(person).await?;
    Ok(program.map_or_else(String::new, |program| format!(" for app {}", program.client)))
}

/// Asks for those of a newcomer's roles that need approval; what was asked for before stays asked for.
pub(super) async fn ask_all(
    caller: &Caller,
    visit: &Visit,
    person: PersonId,
    roles: &[Role],
) -> Result<Vec<Request>, Problem> {
    let mut requests = Vec::new();
    for role in roles.iter().copied().filter(|role| role.needs_approval()) {
        match ask(caller, visit, person, role).await? {
            Ok(request) => requests.extend(request.map(Request::from)),
            Err(PeopleError::Asked) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(requests)
}

/// `DELETE /api/v1/people/{id}/roles/{role}`
pub(super) async fn revoke(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path((id, role)): Path<(String, String)>,
) -> Result<Response, Problem> {
    // Any role, so that one that was granted by mistake can be taken, whatever it is.
    let (person, role) = (person(&id)?, role.parse::<Role>().map_err(|_| catalogue::NOT_FOUND)?);
    let deed = format!("revoke {role}{}", of_program(&visit, role, person).await?);
    let (vault, repository) = (&visit.api.vault, visit.identity.repository());
    // Whoever decides that a program reads takes that back too: a privacy officer, who gives and takes no other role.
    if role == Role::RecordsReader && !caller.roles().contains(Role::TenantAdmin) {
        let leave = vault.authorize_role::<ApproveRole>(&caller, person, role, &deed).await?;
        repository.revoke_reading(leave).await?;
    } else {
        let leave = vault.authorize_deed::<GrantRole>(&caller, Some(person), Some(&deed)).await?;
        repository.revoke_role(leave, role.as_str()).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/v1/people/{id}/suspend`
pub(super) async fn suspend(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let deed = Some("suspend");
    let leave = visit.api.vault.authorize_deed::<SuspendPerson>(&caller, Some(person(&id)?), deed).await?;
    visit.identity.repository().suspend(leave).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/v1/people/{id}/reinstate`
pub(super) async fn reinstate(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let deed = Some("reinstate");
    let leave = visit.api.vault.authorize_deed::<SuspendPerson>(&caller, Some(person(&id)?), deed).await?;
    visit.identity.repository().reinstate(leave).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /api/v1/people/{id}`
pub(super) async fn remove(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let leave = visit.api.vault.authorize::<RemovePerson>(&caller, Some(person(&id)?)).await?;
    visit.identity.repository().remove(leave).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /api/v1/role-requests`
pub(super) async fn requests(SignedIn(caller): SignedIn, visit: Visit) -> Result<Response, Problem> {
    let leave = visit.api.vault.authorize::<ListPeople>(&caller, None).await?;
    if !leave.shows_names() {
        return Err(catalogue::FORBIDDEN);
    }
    let requests = visit.identity.repository().role_requests(leave).await?;
    Ok(Json(Requests { requests: requests.into_iter().map(Request::from).collect() }).into_response())
}

/// `POST /api/v1/role-requests/{id}/approve`
pub(super) async fn approve(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    decide(&caller, &visit, &id, true).await
}

/// `POST /api/v1/role-requests/{id}/reject`
pub(super) async fn reject(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    decide(&caller, &visit, &id, false).await
}

async fn decide(caller: &Caller, visit: &Visit, id: &str, approved: bool) -> Result<Response, Problem> {
    let (vault, repository) = (&visit.api.vault, visit.identity.repository());
    let request = match id.parse::<Uuid>() {
        Ok(id) => repository.role_request(id).await?,
        Err(_) => None,
    };
    // Whoever may decide on none learns nothing of which there are.
    let asked = request.and_then(|request| Some((request.role.parse::<Role>().ok()?, request)));
    let Some((role, request)) = asked else {
        let _none = vault.authorize::<ApproveRole>(caller, None).await?;
        return Err(catalogue::NOT_FOUND);
    };
    let app = of_program(visit, role, request.person).await?;
    let deed = format!("{} {role} {}{app}", if approved { "approve" } else { "reject" }, request.id);
    let leave = vault.authorize_role::<ApproveRole>(caller, request.person, role, &deed).await?;
    repository.decide(leave, &request, approved).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn person(id: &str) -> Result<PersonId, Problem> {
    id.parse().map_err(|_| catalogue::NOT_FOUND)
}

/// A role that is given at a tenant of this kind: a patient's comes with the account that is made from the chart, an identity provider's with its
/// token.
fn known(name: &str, kind: TenantKind) -> Result<Role, Problem> {
    match name.parse::<Role>() {
        Ok(role) if !role.belongs_in(kind) => Err(catalogue::ROLES_NOT_ALLOWED),
        Ok(Role::Patient) => Err(catalogue::PATIENTS_ACCOUNT),
        Ok(role) if role != Role::Provisioner => Ok(role),
        _ => Err(catalogue::ROLES_NOT_ALLOWED),
    }
}
