//! Apps as the tenant registered them.

use sea_orm::entity::prelude::*;

use crate::columns::Digest;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "oauth_client")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub name: String,
    pub authentication: String,
    pub secret_hash: Option<Digest>,
    pub keys: Option<Json>,
    pub redirect_uris: Json,
    pub launch_uri: Option<String>,
    pub scopes: String,
    pub person: Option<Uuid>,
    pub state: String,
    pub created_by: Uuid,
    pub created_at: TimeDateTimeWithTimeZone,
    pub decided_by: Option<Uuid>,
    pub decided_at: Option<TimeDateTimeWithTimeZone>,
    pub removed_at: Option<TimeDateTimeWithTimeZone>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
