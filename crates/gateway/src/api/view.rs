//! The only module of the gateway that looks at opened health data, and it applies the projection before anything else.

use std::borrow::Cow;

use carekeep_care::fhir::Answer;
use carekeep_fhir::{
    json::{Json, Limits},
    project,
    types::ResourceType,
};
use carekeep_policy::Projection;
use carekeep_vault::Phi;

use crate::problem::{Problem, catalogue};

/// The bytes that a reader may see of an opened resource.
pub(super) fn read(kind: ResourceType, phi: &Phi) -> Result<Cow<'_, [u8]>, Problem> {
    let exposed = phi.expose();
    projected(kind, exposed.body, exposed.projection)
}

/// The bytes that a writer may see of what they wrote.
pub(super) fn written(answer: &Answer) -> Result<Cow<'_, [u8]>, Problem> {
    projected(answer.kind, &answer.body, answer.projection)
}

fn projected(kind: ResourceType, body: &[u8], projection: Projection) -> Result<Cow<'_, [u8]>, Problem> {
    let projection = match projection {
        Projection::Full => return Ok(Cow::Borrowed(body)),
        Projection::Contact => project::Projection::Contact,
        Projection::Schedule => project::Projection::Schedule,
        Projection::Metadata => project::Projection::Metadata,
    };
    let document = Json::parse(body, &Limits::import()).map_err(|_| catalogue::INTERNAL)?;
    Ok(Cow::Owned(project::project(kind, projection, &document).to_vec()))
}
