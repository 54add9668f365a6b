//! The identity provider by which a tenant's staff sign in.

use sea_orm::entity::prelude::*;

use crate::columns::Sealed;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "identity_provider")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub single: bool,
    pub id: Uuid,
    pub issuer: String,
    pub client_id: String,
    pub label: String,
    pub subject_claim: String,
    pub amr: Json,
    pub acr: Json,
    pub sealed_secret: Option<Sealed>,
    pub changed_by: Uuid,
    pub changed_at: TimeDateTimeWithTimeZone,
    pub agreed_by: Option<Uuid>,
    pub agreed_at: Option<TimeDateTimeWithTimeZone>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
