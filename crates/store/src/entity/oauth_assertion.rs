//! Assertions of apps that were used.

use sea_orm::entity::prelude::*;

use crate::columns::Digest;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "oauth_assertion")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub client: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub jti: Digest,
    pub expires_at: TimeDateTimeWithTimeZone,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
