//! Authorization codes, by their hash.

use sea_orm::entity::prelude::*;

use crate::columns::{Digest, Private};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "oauth_code")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub token_hash: Digest,
    pub oauth_grant: Uuid,
    pub redirect_uri: String,
    pub challenge: Digest,
    pub nonce: Option<Private>,
    pub expires_at: TimeDateTimeWithTimeZone,
    pub used_at: Option<TimeDateTimeWithTimeZone>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
