//! Apps about to be opened from a chart.

use sea_orm::entity::prelude::*;

use crate::columns::Digest;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "oauth_launch")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_hash: Digest,
    pub client: Uuid,
    pub person: Uuid,
    pub session: Uuid,
    pub patient: Uuid,
    pub encounter: Option<Uuid>,
    pub expires_at: TimeDateTimeWithTimeZone,
    pub used_at: Option<TimeDateTimeWithTimeZone>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
