//! Guess limits: in Postgres, so that they outlive processes, Redis and restarts.

use carekeep_kernel::Timestamp;
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, JsonValue, QueryFilter, TryInsertResult,
    sea_query::{Expr, OnConflict},
};
use time::OffsetDateTime;

use crate::{Answer, Store, entity::softlock};

impl Store {
    /// The state of a guess limit and its version, from 1 on.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn softlock(&self, kind: &str, subject: &[u8]) -> Answer<Option<softlock::Model>> {
        Ok(softlock::Entity::find_by_id((kind.to_owned(), subject.to_vec())).one(&self.database).await?)
    }

    /// Stores a state if the version is still `version`, 0 standing for "none yet", and counts the version up.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn save_softlock(
        &self,
        (kind, subject): (&str, &[u8]),
        state: JsonValue,
        version: i64,
        now: Timestamp,
    ) -> Answer<bool> {
        let touched_at = OffsetDateTime::from(now);
        if version == 0 {
            let new = softlock::Model {
                kind: kind.to_owned(),
                subject: subject.to_vec(),
                state,
                version: 1,
                touched_at,
            };
            let known = OnConflict::columns([softlock::Column::Kind, softlock::Column::Subject])
                .do_nothing()
                .to_owned();
            let added = softlock::Entity::insert(new.into_active_model())
                .on_conflict(known)
                .try_insert()
                .exec_without_returning(&self.database)
                .await?;
            return Ok(matches!(added, TryInsertResult::Inserted(1)));
        }
        let saved = softlock::Entity::update_many()
            .col_expr(softlock::Column::State, Expr::value(state))
            .col_expr(softlock::Column::Version, Expr::value(version.saturating_add(1)))
            .col_expr(softlock::Column::TouchedAt, Expr::value(touched_at))
            .filter(softlock::Column::Kind.eq(kind))
            .filter(softlock::Column::Subject.eq(subject.to_vec()))
            .filter(softlock::Column::Version.eq(version))
            .exec(&self.database)
            .await?;
        Ok(saved.rows_affected == 1)
    }
}
