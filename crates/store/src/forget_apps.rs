//! Forgets what apps held and cannot use any more: bounded, whenever something new is added.

use carekeep_kernel::Timestamp;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QuerySelect, QueryTrait};
use time::OffsetDateTime;

use crate::{
    Answer, Store,
    entity::{oauth_assertion, oauth_code, oauth_grant, oauth_launch, oauth_signing_key, oauth_token},
};

/// The most of each kind that is forgotten at a time: more than is added meanwhile, so that nothing piles up.
const AT_ONCE: u64 = 200;

/// Since when something is over.
#[derive(Debug, Clone, Copy)]
pub struct Over {
    /// Now: what has an end of its own, and has come to it.
    pub now: Timestamp,
    /// What was last used before cannot be used any more.
    pub idle: Timestamp,
    /// What was withdrawn, or retired, or is bound to a session that began before.
    pub ended: Timestamp,
}

/// Deletes some rows of a table by a column that tells them apart, and only what is over: two apps may have made up one `jti`.
macro_rules! forget {
    ($store:expr, $entity:ident, $key:ident, $over:expr) => {{
        let over = $over;
        let some = $entity::Entity::find()
            .select_only()
            .column($entity::Column::$key)
            .filter(over.clone())
            .limit(AT_ONCE)
            .into_query();
        $entity::Entity::delete_many()
            .filter($entity::Column::$key.in_subquery(some))
            .filter(over)
            .exec(&$store.database)
            .await?;
    }};
}

impl Store {
    /// Forgets some codes, launches, tokens, assertions, grants and keys that are over.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_apps(&self, over: Over) -> Answer<()> {
        let [now, idle, ended] = [over.now, over.idle, over.ended].map(OffsetDateTime::from);
        // What was used once stays with its grant: whoever presents it again ends that (RFC 9700 section 4.14.2).
        let unused = Condition::all()
            .add(oauth_code::Column::ExpiresAt.lt(now))
            .add(oauth_code::Column::UsedAt.is_null());
        forget!(self, oauth_code, TokenHash, unused);
        forget!(self, oauth_launch, TokenHash, oauth_launch::Column::ExpiresAt.lt(now));
        let unused = Condition::all()
            .add(oauth_token::Column::ExpiresAt.lt(now))
            .add(oauth_token::Column::UsedAt.is_null());
        forget!(self, oauth_token, TokenHash, unused);
        forget!(self, oauth_assertion, Jti, oauth_assertion::Column::ExpiresAt.lt(now));
        forget!(self, oauth_signing_key, Id, oauth_signing_key::Column::RetiredAt.lt(ended));
        // With all that hangs on it.
        let bound = Condition::all()
            .add(oauth_grant::Column::Session.is_not_null())
            .add(oauth_grant::Column::CreatedAt.lt(ended));
        let dead = Condition::any()
            .add(oauth_grant::Column::ExpiresAt.lt(now))
            .add(oauth_grant::Column::LastUsedAt.lt(idle))
            .add(oauth_grant::Column::RevokedAt.lt(ended))
            .add(bound);
        forget!(self, oauth_grant, Id, dead);
        Ok(())
    }
}
