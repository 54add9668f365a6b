//! What the tenant decided about the ways in: one row at most.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sign_in_settings")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub single: bool,
    pub passkeys: Json,
    pub makers: Json,
    pub confirmed_devices: bool,
    pub passwords: bool,
    pub recovery_hold_hours: i32,
    pub longer_hold_hours: Option<i32>,
    pub longer_hold_until: Option<TimeDateTimeWithTimeZone>,
    pub changed_by: Uuid,
    pub changed_at: TimeDateTimeWithTimeZone,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
