//! Who has to do with a patient: the care team, and the patient's own account.

use axum::response::{IntoResponse, Response};
use carekeep_identity::{
    service::{Audience, LoginName, Repository},
    storage::NewPerson,
};
use carekeep_kernel::{PersonId, ResourceId};
use carekeep_policy::{ResourceKind, Role};
use carekeep_vault::{
    Caller, Planned,
    catalogue::{AssignCareTeam, InvitePatient},
};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{people::invitation, visit::Visit};
use crate::{
    api::SignedIn,
    problem::{self, Path, Problem, catalogue},
};

/// The names of a patient's account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PatientAccount {
    /// The login name, 1 to 254 characters without blanks.
    login: String,
    /// The name that staff see, 1 to 200 characters.
    name: String,
}

/// `PUT /api/v1/patients/{id}/care-team/{person}`
pub(super) async fn assign(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path((patient, person)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (patient, person) = known(&caller, &visit, (&patient, &person)).await?;
    change(&caller, &visit, Planned::Assign { person, patient, at: caller.now() }).await
}

/// `DELETE /api/v1/patients/{id}/care-team/{person}`
pub(super) async fn relieve(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path((patient, person)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (patient, person) = known(&caller, &visit, (&patient, &person)).await?;
    change(&caller, &visit, Planned::Relieve { person, patient, at: caller.now() }).await
}

/// A patient and a person who are there. A patient who is not answers like one that the caller may not know of, and is on
/// record.
async fn known(
    caller: &Caller,
    visit: &Visit,
    (patient, person): (&str, &str),
) -> Result<(ResourceId, PersonId), Problem> {
    let patient: ResourceId = patient.parse().map_err(|_| catalogue::NOT_FOUND)?;
    let person: PersonId = person.parse().map_err(|_| catalogue::NOT_FOUND)?;
    visit.api.vault.fetch::<AssignCareTeam>(caller, ResourceKind::Patient, patient).await?;
    let known = visit.identity.repository().person(person).await;
    match known.map_err(carekeep_identity::service::IdentityError::from)? {
        Some(_) => Ok((patient, person)),
        None => Err(catalogue::NOT_FOUND),
    }
}

async fn change(caller: &Caller, visit: &Visit, planned: Planned) -> Result<Response, Problem> {
    let changes = visit.api.vault.permit_changes(caller, vec![planned]).await?;
    visit.api.vault.commit(caller, changes).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/v1/patients/{id}/account`
pub(super) async fn invite(
    SignedIn(caller): SignedIn,
    visit: Visit,
    Path(id): Path<String>,
    problem::Json(body): problem::Json<PatientAccount>,
) -> Result<Response, Problem> {
    let patient: ResourceId = id.parse().map_err(|_| catalogue::NOT_FOUND)?;
    let login = LoginName::parse(&body.login).map_err(|_| catalogue::LOGIN_NOT_ALLOWED)?;
    let leave = visit.api.vault.authorize_on_chart::<InvitePatient>(&caller, patient).await?;
    let new = NewPerson {
        login: &login,
        name: &body.name,
        audience: Audience::Patient,
        roles: vec![Role::Patient.as_str().to_owned()],
        practitioner: None,
    };
    let invited = visit.identity.repository().invite_patient(leave, new).await?;
    Ok(invitation(&visit, &invited, Vec::new()))
}
