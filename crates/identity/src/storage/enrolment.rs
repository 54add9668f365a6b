//! A factor on its way to its rows.

use std::sync::Arc;

use carekeep_kernel::{CredentialId, PersonId, Timestamp};
use carekeep_store as store;

use super::{Answer, NoticeKind, PgRepository, rows};
use crate::service::repository::{FactorChange, NewFactor, Written};

impl PgRepository {
    pub(super) async fn write_change(&self, change: &FactorChange, now: Timestamp) -> Answer<Written> {
        let person = change.session.person;
        let (kind, about) = told(&change.factor);
        let row = store::FactorChange {
            factor: row(person, &change.factor, now),
            session: rows::session_row(&change.session)?,
            old: change.old.as_bytes(),
            completes: change.completes,
            ends_others: change.ends_others,
            notice: self.notice(person, kind, about),
            at: now,
        };
        let (clock, random) = (Arc::clone(self.vault.clock()), Arc::clone(self.vault.random()));
        let new_id = move || CredentialId::generate(&*clock, &*random).as_uuid();
        Ok(self.store.write_factor(row, &new_id).await?)
    }
}

fn row(person: PersonId, factor: &NewFactor, now: Timestamp) -> store::NewFactor {
    match factor {
        NewFactor::Password(stored) => store::NewFactor::Password(rows::password(person, stored, now)),
        NewFactor::Totp(id, step) => store::NewFactor::Totp { id: id.as_uuid(), step: step.0 },
        NewFactor::Passkey(passkey) => store::NewFactor::Passkey(rows::passkey_row(passkey)),
        NewFactor::RecoveryCodes(codes) => {
            store::NewFactor::RecoveryCodes(codes.iter().map(rows::recovery_code_row).collect())
        }
    }
}

/// What the person is told.
const fn told(factor: &NewFactor) -> (NoticeKind, Option<&'static str>) {
    match factor {
        NewFactor::Password(_) => (NoticeKind::FactorAdded, Some("password")),
        NewFactor::Totp(..) => (NoticeKind::FactorAdded, Some("totp")),
        NewFactor::Passkey(_) => (NoticeKind::FactorAdded, Some("passkey")),
        NewFactor::RecoveryCodes(_) => (NoticeKind::RecoveryCodesMade, None),
    }
}
