//! People: who may sign in here. The login name and the name are sealed.

use sea_orm::entity::prelude::*;

use crate::columns::Sealed;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "person")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub login_token: i64,
    pub sealed_login: Sealed,
    pub sealed_name: Sealed,
    pub audience: String,
    pub patient: Option<Uuid>,
    pub practitioner: Option<Uuid>,
    pub founder: bool,
    pub created_at: TimeDateTimeWithTimeZone,
    pub activated_at: Option<TimeDateTimeWithTimeZone>,
    pub suspended_at: Option<TimeDateTimeWithTimeZone>,
    pub left_at: Option<TimeDateTimeWithTimeZone>,
    pub suspended_by: Option<Uuid>,
    pub changed_at: Option<TimeDateTimeWithTimeZone>,
    pub devices_cleared_at: Option<TimeDateTimeWithTimeZone>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(has_one = "super::password::Entity")]
    Password,
    #[sea_orm(has_one = "super::provisioned::Entity")]
    Provisioned,
}

impl Related<super::password::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Password.def()
    }
}

impl Related<super::provisioned::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Provisioned.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
