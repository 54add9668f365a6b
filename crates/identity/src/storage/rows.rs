//! Between records and rows. The tenant of a record is that of the schema its row was read from.

use carekeep_kernel::{CredentialId, DeviceId, InviteId, PersonId, SessionId, TenantId, Timestamp};
use carekeep_store::{
    columns::{Digest, Phc, Private},
    entity,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::Answer;
use crate::{
    Aal, FactorKind, FactorTime, TokenHash,
    flow::SessionState,
    invite::InviteRecord,
    passkey::{CeremonyId, CeremonyKind, CeremonyRecord, PasskeyRecord},
    password::StoredPassword,
    recovery::RecoveryRecord,
    service::{Audience, PersonRecord, RepositoryError},
    session::{FRESH_FACTOR, SessionRecord},
    softlock::LockKind,
};

/// A row that this binary did not write, or that somebody edited.
pub(super) fn malformed() -> RepositoryError {
    RepositoryError::new("a stored row is malformed")
}

pub(super) fn to_json(value: &impl Serialize) -> Answer<Value> {
    serde_json::to_value(value).map_err(|_| malformed())
}

pub(super) fn from_json<T: DeserializeOwned>(value: Value) -> Answer<T> {
    serde_json::from_value(value).map_err(|_| malformed())
}

fn hash(digest: &Digest) -> Answer<[u8; 32]> {
    digest.0.as_slice().try_into().map_err(|_| malformed())
}

fn digest(bytes: &[u8]) -> Digest {
    Digest(bytes.to_vec())
}

pub(super) const fn lock_kind(kind: LockKind) -> &'static str {
    match kind {
        LockKind::Password => "password",
        LockKind::Totp => "totp",
        LockKind::Recovery => "recovery",
        LockKind::Passkey => "passkey",
    }
}

pub(super) const fn audience_name(audience: Audience) -> &'static str {
    match audience {
        Audience::Staff => "staff",
        Audience::Patient => "patient",
    }
}

pub(super) fn audience(name: &str) -> Audience {
    // Staff limits are the stricter ones.
    if name == "patient" { Audience::Patient } else { Audience::Staff }
}

pub(super) fn person(tenant: TenantId, row: &entity::person::Model) -> PersonRecord {
    PersonRecord {
        id: PersonId::from_uuid(row.id),
        tenant,
        audience: audience(&row.audience),
        activated: row.activated_at.map(Timestamp::from),
        barred: row.suspended_at.or(row.left_at).map(Timestamp::from),
    }
}

pub(super) fn phc(password: &StoredPassword) -> Phc {
    Phc(password.as_phc().to_owned())
}

pub(super) fn password(
    person: PersonId,
    password: &StoredPassword,
    now: Timestamp,
) -> entity::password::Model {
    entity::password::Model { person: person.as_uuid(), phc: phc(password), changed_at: now.into() }
}

pub(super) fn passkey(tenant: TenantId, row: entity::passkey::Model) -> Answer<PasskeyRecord> {
    Ok(PasskeyRecord {
        id: CredentialId::from_uuid(row.id),
        tenant,
        person: PersonId::from_uuid(row.person),
        name: row.name.0,
        credential_id: row.credential_id.0,
        data: row.data.0,
        created: row.created_at.into(),
        last_used: row.last_used_at.map(Timestamp::from),
        backup_eligible: row.backup_eligible,
        backup_state: row.backup_state,
        counter: u32::try_from(row.counter).map_err(|_| malformed())?,
    })
}

pub(super) fn passkey_row(record: &PasskeyRecord) -> entity::passkey::Model {
    entity::passkey::Model {
        id: record.id.as_uuid(),
        person: record.person.as_uuid(),
        name: Private(record.name.clone()),
        credential_id: digest(&record.credential_id),
        data: Private(record.data.clone()),
        backup_eligible: record.backup_eligible,
        backup_state: record.backup_state,
        counter: i64::from(record.counter),
        created_at: record.created.into(),
        last_used_at: record.last_used.map(Into::into),
    }
}

pub(super) fn recovery_code(row: &entity::recovery_code::Model) -> Answer<RecoveryRecord> {
    Ok(RecoveryRecord {
        id: CredentialId::from_uuid(row.id),
        person: PersonId::from_uuid(row.person),
        hash: hash(&row.hash)?,
        created: row.created_at.into(),
        used: row.used_at.map(Timestamp::from),
    })
}

pub(super) fn recovery_code_row(record: &RecoveryRecord) -> entity::recovery_code::Model {
    entity::recovery_code::Model {
        id: record.id.as_uuid(),
        person: record.person.as_uuid(),
        hash: digest(&record.hash),
        created_at: record.created.into(),
        used_at: record.used.map(Into::into),
    }
}

/// `None` for a row whose level is lower than its state makes it: what the vault decides on and what identity decides on
/// must agree, or the session is nobody's.
pub(super) fn session(tenant: TenantId, row: entity::session::Model) -> Answer<Option<SessionRecord>> {
    let last_seen = Timestamp::from(row.last_seen_at);
    let state: SessionState = from_json(row.detail)?;
    if row.aal < level(state) {
        return Ok(None);
    }
    Ok(Some(SessionRecord {
        id: SessionId::from_uuid(row.id),
        tenant,
        person: PersonId::from_uuid(row.person),
        token_hash: TokenHash::from_bytes(hash(&row.token_hash)?),
        state,
        created: row.created_at.into(),
        last_seen,
        last_saved: last_seen,
        factors: from_json(row.factors)?,
        device: row.device.map(DeviceId::from_uuid),
        revoked: row.revoked_at.map(Timestamp::from),
    }))
}

/// The assurance level of a state, as the column has it.
const fn level(state: SessionState) -> i16 {
    match state.aal() {
        Aal::None => 0,
        Aal::One => 1,
        Aal::Two => 2,
    }
}

pub(super) fn session_row(record: &SessionRecord) -> Answer<entity::session::Model> {
    let state = match record.state {
        SessionState::PendingSecondFactor => "pending",
        SessionState::Enrolling(_) => "enrolling",
        SessionState::Active { .. } => "active",
    };
    Ok(entity::session::Model {
        id: record.id.as_uuid(),
        person: record.person.as_uuid(),
        token_hash: digest(record.token_hash.as_bytes()),
        state: state.to_owned(),
        detail: to_json(&record.state)?,
        aal: level(record.state),
        created_at: record.created.into(),
        last_seen_at: record.last_seen.into(),
        factor_at: newest_factor(&record.factors, record.created).into(),
        factors: to_json(&record.factors)?,
        device: record.device.map(|device| device.as_uuid()),
        revoked_at: record.revoked.map(Into::into),
    })
}

/// What step-up counts from. A password is what an attacker at an unlocked screen is most likely to know, so proving it
/// again makes nothing fresh. A session without another factor is as old as itself, and one that began by a provider's word was
/// never fresh.
fn newest_factor(factors: &[FactorTime], began: Timestamp) -> Timestamp {
    let weak = [FactorKind::Password, FactorKind::Federated];
    let federated = factors.iter().any(|factor| factor.kind == FactorKind::Federated);
    let least = if federated { began - FRESH_FACTOR } else { began };
    factors
        .iter()
        .filter(|factor| !weak.contains(&factor.kind))
        .map(|factor| factor.at)
        .max()
        .unwrap_or(least)
}

pub(super) fn invite(tenant: TenantId, row: entity::invite::Model) -> Answer<InviteRecord> {
    Ok(InviteRecord {
        id: InviteId::from_uuid(row.id),
        tenant,
        person: PersonId::from_uuid(row.person),
        invited_by: PersonId::from_uuid(row.invited_by),
        token_hash: TokenHash::from_bytes(hash(&row.token_hash)?),
        roles: from_json(row.roles)?,
        created: row.created_at.into(),
        expires: row.expires_at.into(),
        accepted: row.accepted_at.map(Timestamp::from),
        withdrawn: row.withdrawn_at.map(Timestamp::from),
    })
}

pub(super) fn invite_row(record: &InviteRecord) -> entity::invite::Model {
    entity::invite::Model {
        id: record.id.as_uuid(),
        person: record.person.as_uuid(),
        invited_by: record.invited_by.as_uuid(),
        token_hash: digest(record.token_hash.as_bytes()),
        roles: record.roles.iter().map(|role| Value::from(role.as_str())).collect(),
        created_at: record.created.into(),
        expires_at: record.expires.into(),
        accepted_at: record.accepted.map(Into::into),
        withdrawn_at: record.withdrawn.map(Into::into),
    }
}

const fn ceremony_kind(kind: CeremonyKind) -> &'static str {
    match kind {
        CeremonyKind::Registration => "registration",
        CeremonyKind::Authentication => "authentication",
        CeremonyKind::Discoverable => "discoverable",
        CeremonyKind::Federation => "federation",
    }
}

pub(super) fn ceremony(tenant: TenantId, row: entity::ceremony::Model) -> Answer<CeremonyRecord> {
    Ok(CeremonyRecord {
        id: CeremonyId::from_uuid(row.id),
        tenant,
        holder: TokenHash::from_bytes(hash(&row.holder)?),
        person: row.person.map(PersonId::from_uuid),
        kind: from_json(Value::from(row.kind))?,
        state: row.state.0,
        created: row.created_at.into(),
        expires: row.expires_at.into(),
    })
}

pub(super) fn ceremony_row(record: &CeremonyRecord) -> entity::ceremony::Model {
    entity::ceremony::Model {
        id: record.id.as_uuid(),
        person: record.person.map(|person| person.as_uuid()),
        kind: ceremony_kind(record.kind).to_owned(),
        holder: digest(record.holder.as_bytes()),
        state: Private(record.state.clone()),
        created_at: record.created.into(),
        expires_at: record.expires.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proving_the_password_again_makes_a_session_no_fresher() {
        let at = Timestamp::from_micros;
        let factor = |kind, micros| FactorTime { kind, at: at(micros) };
        let factors = [factor(FactorKind::Totp, 5), factor(FactorKind::Password, 9)];
        assert_eq!(newest_factor(&factors, at(1)), at(5));
        assert_eq!(newest_factor(&[factor(FactorKind::Password, 9)], at(1)), at(1));
        assert_eq!(newest_factor(&[factors[0], factor(FactorKind::Passkey, 7)], at(1)), at(7));
        let (began, federated) = (at(900_000_000), factor(FactorKind::Federated, 900_000_000));
        assert_eq!(newest_factor(&[federated], began), began - FRESH_FACTOR);
        assert_eq!(
            newest_factor(&[federated, factor(FactorKind::Totp, 900_000_001)], began),
            at(900_000_001)
        );
    }
}
