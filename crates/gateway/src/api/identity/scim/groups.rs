//! Groups: the roles that an identity provider may give. Their members are the staff who hold them. There are no others, and none
//! is made, renamed or deleted.

use axum::response::Response;
use carekeep_identity::storage::PeopleError;
use carekeep_kernel::PersonId;
use carekeep_policy::Role;
use carekeep_vault::{
    Authorized, Caller,
    catalogue::{ProvisionList, ProvisionRole},
};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::{
    super::visit::Visit,
    Asked, GROUP_SCHEMA, Resource,
    filter::{Filter, Operator, parse, plain_name},
    listed,
    patch::{MemberChange, change_members, ids, operations},
};
use crate::{
    api::session::Provisioner,
    problem::{Json, Path, Problem, Query, catalogue},
};

/// Most memberships that one request changes: each is decided on and recorded by itself.
const MOST_CHANGES: usize = 200;

/// Those of the roles that are groups.
pub(super) fn provisionable(roles: &[String]) -> impl Iterator<Item = &'static str> {
    let known = roles.iter().filter_map(|role| role.parse::<Role>().ok());
    known.filter(|role| role.is_provisionable()).map(Role::as_str)
}

fn group(id: &str) -> Result<Role, Problem> {
    let role = id.parse::<Role>().ok().filter(|role| role.is_provisionable());
    role.ok_or(catalogue::NOT_FOUND)
}

fn resource(role: Role, holders: &[PersonId], origin: &str) -> Resource {
    let member = |id: &PersonId| json!({"value": id.to_string(), "$ref": format!("{origin}/scim/v2/Users/{id}"), "type": "User"});
    let mut body = Map::new();
    body.insert("schemas".to_owned(), json!([GROUP_SCHEMA]));
    body.insert("id".to_owned(), role.as_str().into());
    body.insert("displayName".to_owned(), role.as_str().into());
    body.insert("members".to_owned(), holders.iter().map(member).collect());
    Resource::new(body, ("Group", format!("{origin}/scim/v2/Groups/{role}")), None)
}

async fn leave(caller: &Caller, visit: &Visit, deed: &str) -> Result<Authorized<ProvisionList>, Problem> {
    Ok(visit.api.vault.authorize_deed::<ProvisionList>(caller, None, Some(deed)).await?)
}

async fn holders(
    visit: &Visit,
    leave: &Authorized<ProvisionList>,
    role: Role,
) -> Result<Vec<PersonId>, Problem> {
    Ok(visit.identity.repository().list_holders(leave, role.as_str()).await?)
}

/// `GET /scim/v2/Groups`
pub(super) async fn list(
    Provisioner(caller): Provisioner,
    visit: Visit,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let filter = asked.filter.as_deref().map(parse).transpose()?;
    let leave = leave(&caller, &visit, "list groups").await?;
    let mut found = Vec::new();
    for role in Role::ALL.iter().copied().filter(|role| role.is_provisionable()) {
        let holders = holders(&visit, &leave, role).await?;
        if filter.as_ref().map_or(Ok(true), |filter| matches(filter, role, &holders))? {
            let mut body = resource(role, &holders, &visit.origin).body;
            asked.narrow(&mut body);
            found.push(Value::Object(body));
        }
    }
    let (skip, limit) = asked.page();
    let total = u64::try_from(found.len()).unwrap_or(u64::MAX);
    let within = |at: u64| at >= skip && at - skip < limit;
    let page: Vec<Value> = (0..).zip(found).filter(|(at, _)| within(*at)).map(|(_, group)| group).collect();
    Ok(listed(total, skip, &page))
}

fn matches(filter: &Filter, role: Role, holders: &[PersonId]) -> Result<bool, Problem> {
    match filter {
        // Both sides, whatever the first one says: what is not supported is refused for every group alike.
        Filter::And(one, other) => Ok(matches(one, role, holders)? & matches(other, role, holders)?),
        Filter::Or(one, other) => Ok(matches(one, role, holders)? | matches(other, role, holders)?),
        Filter::Compare(attribute, Operator::Equal, Value::String(value)) => match attribute.as_str() {
            "id" => Ok(value == role.as_str()),
            "displayname" => Ok(value.eq_ignore_ascii_case(role.as_str())),
            "members" | "members.value" => Ok(holders.iter().any(|id| id.to_string() == *value)),
            _ => Err(catalogue::SCIM_FILTER),
        },
        Filter::Compare(..) => Err(catalogue::SCIM_FILTER),
    }
}

/// `GET /scim/v2/Groups/{id}`
pub(super) async fn read(
    Provisioner(caller): Provisioner,
    visit: Visit,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let role = group(&id)?;
    let leave = leave(&caller, &visit, &format!("read group {role}")).await?;
    let holders = holders(&visit, &leave, role).await?;
    Ok(resource(role, &holders, &visit.origin).answer(StatusCode::OK, &asked, &headers))
}

/// `PUT /scim/v2/Groups/{id}`
pub(super) async fn replace(
    Provisioner(caller): Provisioner,
    visit: Visit,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let role = group(&id)?;
    let said = body.as_object().ok_or(catalogue::SCIM_SYNTAX)?;
    let named =
        |wanted: &str| said.iter().find(|(name, _)| plain_name(name) == wanted).map(|(_, value)| value);
    if named("displayname").is_none_or(|name| name != role.as_str()) {
        return Err(catalogue::SCIM_READ_ONLY);
    }
    let only = named("members").filter(|members| !members.is_null()).map_or(Ok(Vec::new()), ids)?;
    change(&caller, &visit, role, &headers, vec![MemberChange::Only(only)]).await
}

/// `PATCH /scim/v2/Groups/{id}`
pub(super) async fn patch(
    Provisioner(caller): Provisioner,
    visit: Visit,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, Problem> {
    let role = group(&id)?;
    let operations = operations(&body)?;
    let changes = operations.iter().map(|operation| change_members(role.as_str(), operation));
    let changes = changes.collect::<Result<Vec<_>, _>>()?;
    change(&caller, &visit, role, &headers, changes).await
}

/// Gives and takes a role: leave for each membership first, then all of it or nothing.
async fn change(
    caller: &Caller,
    visit: &Visit,
    role: Role,
    headers: &HeaderMap,
    changes: Vec<MemberChange>,
) -> Result<Response, Problem> {
    let seen = leave(caller, visit, &format!("read group {role}")).await?;
    let before = holders(visit, &seen, role).await?;
    resource(role, &before, &visit.origin).check(headers)?;
    let mut after = before.clone();
    for change in changes {
        apply(&mut after, change)?;
    }
    let (new, gone) = (without(&after, &before), without(&before, &after));
    if new.len() + gone.len() > MOST_CHANGES {
        return Err(catalogue::BODY_TOO_LARGE.detail("One request changes at most 200 memberships."));
    }
    let give = leaves(caller, visit, role, ("give", new)).await?;
    let take = leaves(caller, visit, role, ("take", gone)).await?;
    let people = visit.identity.repository();
    match people.change_holders(role.as_str(), give, take).await {
        Err(PeopleError::Gone) => return Err(catalogue::SCIM_VALUE),
        done => done?,
    }
    let now = holders(visit, &seen, role).await?;
    Ok(resource(role, &now, &visit.origin).answer(StatusCode::OK, &Asked::default(), &HeaderMap::new()))
}

async fn leaves(
    caller: &Caller,
    visit: &Visit,
    role: Role,
    (verb, people): (&str, Vec<PersonId>),
) -> Result<Vec<Authorized<ProvisionRole>>, Problem> {
    let mut leaves = Vec::with_capacity(people.len());
    for person in people {
        let deed = format!("{verb} {role}");
        leaves.push(visit.api.vault.authorize_role::<ProvisionRole>(caller, person, role, &deed).await?);
    }
    Ok(leaves)
}

fn without(all: &[PersonId], others: &[PersonId]) -> Vec<PersonId> {
    all.iter().filter(|id| !others.contains(id)).copied().collect()
}

/// Who is a member after a change. Whoever cannot be one is refused when leave is asked for.
fn apply(members: &mut Vec<PersonId>, change: MemberChange) -> Result<(), Problem> {
    let known = |ids: Vec<String>| {
        let ids = ids.iter().map(|id| id.parse::<PersonId>().map_err(|_| catalogue::SCIM_VALUE));
        ids.collect::<Result<Vec<_>, _>>()
    };
    match change {
        MemberChange::Nothing => {}
        MemberChange::Add(ids) => members.extend(without(&known(ids)?, members)),
        // Whoever is no member is not removed, whatever the id: it tells nothing.
        MemberChange::Remove(ids) => members.retain(|member| !ids.contains(&member.to_string())),
        MemberChange::Only(ids) => *members = known(ids)?,
    }
    members.sort_unstable();
    members.dedup();
    Ok(())
}
