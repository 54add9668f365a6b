//! Users: staff.

use axum::response::{IntoResponse, Response};
use carekeep_identity::storage::{Compare, PgRepository, StaffView, Which};
use carekeep_kernel::{PersonId, Timestamp};
use carekeep_vault::{
    Caller,
    catalogue::{ProvisionEnd, ProvisionList, ProvisionPerson, ProvisionSuspend},
};
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    super::visit::Visit,
    Asked, Resource,
    filter::{Filter, Operator, parse},
    listed,
    patch::{change_user, operations},
    refused,
    user::{User, shown},
};
use crate::{
    api::session::Provisioner,
    problem::{Json, Path, Problem, Query, catalogue},
};

fn resource(view: &StaffView, origin: &str) -> Resource {
    let location = format!("{origin}/scim/v2/Users/{}", view.id);
    Resource::new(shown(view, origin), ("User", location), Some((view.created, view.changed)))
}

fn person(id: &str) -> Result<PersonId, Problem> {
    id.parse().map_err(|_| catalogue::NOT_FOUND)
}

/// Somebody, once policy has said that the caller may see them.
async fn seen(caller: &Caller, visit: &Visit, id: PersonId) -> Result<StaffView, Problem> {
    let leave = visit.api.vault.authorize_deed::<ProvisionList>(caller, Some(id), Some("read user")).await?;
    visit.identity.repository().read_staff(leave).await.map_err(refused)
}

/// `GET /scim/v2/Users`
pub(super) async fn list(
    Provisioner(caller): Provisioner,
    visit: Visit,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let filter = asked.filter.as_deref().map(parse).transpose()?;
    let leave = visit.api.vault.authorize_deed::<ProvisionList>(&caller, None, Some("list users")).await?;
    let people = visit.identity.repository();
    let which = match &filter {
        Some(filter) => which(people, filter).await?,
        None => Which::All,
    };
    let (skip, limit) = asked.page();
    let (total, staff) = people.list_staff(leave, &which, (skip, limit)).await?;
    let body = |view: &StaffView| {
        let mut body = resource(view, &visit.origin).body;
        asked.narrow(&mut body);
        Value::Object(body)
    };
    Ok(listed(total, skip, &staff.iter().map(body).collect::<Vec<_>>()))
}

/// What a filter looks for.
async fn which(people: &PgRepository, filter: &Filter) -> Result<Which, Problem> {
    Ok(match filter {
        Filter::And(one, other) => {
            let (one, other) = (Box::pin(which(people, one)).await?, Box::pin(which(people, other)).await?);
            Which::And(Box::new(one), Box::new(other))
        }
        Filter::Or(one, other) => {
            let (one, other) = (Box::pin(which(people, one)).await?, Box::pin(which(people, other)).await?);
            Which::Or(Box::new(one), Box::new(other))
        }
        Filter::Compare(attribute, operator, value) => match (attribute.as_str(), operator, value) {
            ("username", Operator::Equal, Value::String(name)) => people.which_login(name).await?,
            ("externalid", Operator::Equal, Value::String(id)) => people.which_external(id).await?,
            ("id", Operator::Equal, Value::String(id)) => match id.parse::<PersonId>() {
                Ok(id) => Which::Id(id.as_uuid()),
                Err(_) => Which::Nobody,
            },
            ("active", Operator::Equal, Value::Bool(active)) => Which::Active(*active),
            // Entra ID quotes it.
            ("active", Operator::Equal, Value::String(text)) => match text.to_ascii_lowercase().as_str() {
                "true" => Which::Active(true),
                "false" => Which::Active(false),
                _ => return Err(catalogue::SCIM_FILTER),
            },
            ("meta.lastmodified", operator, Value::String(at)) => {
                Which::Changed(compare(*operator), time(at)?)
            }
            _ => return Err(catalogue::SCIM_FILTER),
        },
    })
}

const fn compare(operator: Operator) -> Compare {
    match operator {
        Operator::Equal => Compare::Equal,
        Operator::Greater => Compare::Greater,
        Operator::GreaterOrEqual => Compare::GreaterOrEqual,
        Operator::Less => Compare::Less,
        Operator::LessOrEqual => Compare::LessOrEqual,
    }
}

fn time(text: &str) -> Result<Timestamp, Problem> {
    OffsetDateTime::parse(text, &Rfc3339).map(Timestamp::from).map_err(|_| catalogue::SCIM_FILTER)
}

/// `POST /scim/v2/Users`
pub(super) async fn create(
    Provisioner(caller): Provisioner,
    visit: Visit,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let user = User::from_body(&body, true)?;
    let deed = if user.active { "add" } else { "add suspended" };
    let leave = visit.api.vault.authorize_deed::<ProvisionPerson>(&caller, None, Some(deed)).await?;
    let people = visit.identity.repository();
    let view = people.add_staff(leave, &user.staff()?, user.active).await.map_err(refused)?;
    Ok(resource(&view, &visit.origin).answer(StatusCode::CREATED, &Asked::default(), &headers))
}

/// `GET /scim/v2/Users/{id}`
pub(super) async fn read(
    Provisioner(caller): Provisioner,
    visit: Visit,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = seen(&caller, &visit, person(&id)?).await?;
    Ok(resource(&view, &visit.origin).answer(StatusCode::OK, &asked, &headers))
}

/// `PUT /scim/v2/Users/{id}`
pub(super) async fn replace(
    Provisioner(caller): Provisioner,
    visit: Visit,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let view = seen(&caller, &visit, person(&id)?).await?;
    resource(&view, &visit.origin).check(&headers)?;
    let user = User::from_body(&body, view.active)?;
    change(&caller, &visit, &view, &user).await
}

/// `PATCH /scim/v2/Users/{id}`
pub(super) async fn patch(
    Provisioner(caller): Provisioner,
    visit: Visit,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let view = seen(&caller, &visit, person(&id)?).await?;
    resource(&view, &visit.origin).check(&headers)?;
    let mut user = User::of(&view);
    for operation in operations(&body)? {
        change_user(&mut user, &operation)?;
    }
    change(&caller, &visit, &view, &user).await
}

/// Makes of somebody what `user` says: leave for all of it first, then all of it or nothing.
async fn change(caller: &Caller, visit: &Visit, view: &StaffView, user: &User) -> Result<Response, Problem> {
    let (vault, id) = (&visit.api.vault, Some(view.id));
    let staff = user.staff()?;
    let different = User::of(view).differences(user);
    let said = if different.is_empty() {
        None
    } else {
        let deed = format!("change {}", different.join(" "));
        Some((vault.authorize_deed::<ProvisionPerson>(caller, id, Some(&deed)).await?, &staff))
    };
    let active = if user.active == view.active {
        None
    } else {
        let deed = if user.active { "reinstate" } else { "suspend" };
        Some((vault.authorize_deed::<ProvisionSuspend>(caller, id, Some(deed)).await?, user.active))
    };
    let view = visit.identity.repository().change_staff(view.id, said, active).await.map_err(refused)?;
    Ok(resource(&view, &visit.origin).answer(StatusCode::OK, &Asked::default(), &HeaderMap::new()))
}

/// `DELETE /scim/v2/Users/{id}`
pub(super) async fn end(
    Provisioner(caller): Provisioner,
    visit: Visit,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let view = seen(&caller, &visit, person(&id)?).await?;
    resource(&view, &visit.origin).check(&headers)?;
    let leave = visit.api.vault.authorize::<ProvisionEnd>(&caller, Some(view.id)).await?;
    visit.identity.repository().end_staff(leave).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
