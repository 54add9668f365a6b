//! Sessions, found by the hash of their token.

use sea_orm::entity::prelude::*;

use crate::columns::Digest;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "session")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub person: Uuid,
    pub token_hash: Digest,
    pub state: String,
    pub detail: Json,
    pub aal: i16,
    pub created_at: TimeDateTimeWithTimeZone,
    pub last_seen_at: TimeDateTimeWithTimeZone,
    pub factor_at: TimeDateTimeWithTimeZone,
    pub factors: Json,
    pub device: Option<Uuid>,
    pub revoked_at: Option<TimeDateTimeWithTimeZone>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
