//! Passkeys: public keys.

use sea_orm::entity::prelude::*;

use crate::columns::{Digest, Private};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "passkey")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub person: Uuid,
    pub name: Private,
    pub credential_id: Digest,
    pub data: Private,
    pub backup_eligible: bool,
    pub backup_state: bool,
    pub counter: i64,
    pub created_at: TimeDateTimeWithTimeZone,
    pub last_used_at: Option<TimeDateTimeWithTimeZone>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
