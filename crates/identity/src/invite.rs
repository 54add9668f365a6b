//! Invitations: a link that lets a newcomer enrol factors, and nothing else.
//!
//! Invariant: an invitation is used once, for a short time, and only by somebody who has no factor yet; for a person
//! with factors it never stands in for signing in ([`crate::flow`]).

use std::time::Duration;

use carekeep_kernel::{Clock, InviteId, PersonId, Random, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{PlainToken, TokenHash, TokenKind, token};

/// How long an invitation is good.
pub const INVITE_LIFETIME: Duration = Duration::from_secs(72 * 3600);

/// An invitation as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteRecord {
    /// Its id.
    pub id: InviteId,
    /// The tenant that invites.
    pub tenant: TenantId,
    /// The person that was created for the newcomer.
    pub person: PersonId,
    /// Who invited.
    pub invited_by: PersonId,
    /// The hash of the token in the link.
    pub token_hash: TokenHash,
    /// Names of the roles that are granted when the enrolment is complete.
    pub roles: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops being good.
    pub expires: Timestamp,
    /// When it was used. The store sets it with a compare-and-set on "not used yet".
    pub accepted: Option<Timestamp>,
    /// When it was withdrawn.
    pub withdrawn: Option<Timestamp>,
}

/// An invitation that cannot be used. One text for all causes: a stranger learns nothing from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// No such invitation.
    #[error("this invitation is not valid any more: ask for a new one")]
    Unknown,
    /// It is too old.
    #[error("this invitation is not valid any more: ask for a new one")]
    Expired,
    /// It was used.
    #[error("this invitation is not valid any more: ask for a new one")]
    Used,
    /// It was withdrawn.
    #[error("this invitation is not valid any more: ask for a new one")]
    Withdrawn,
}

/// Whom to invite to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The tenant that invites.
    pub tenant: TenantId,
    /// The newcomer.
    pub person: PersonId,
    /// Who invites.
    pub invited_by: PersonId,
    /// Names of the roles to grant.
    pub roles: Vec<String>,
}

/// A new invitation, and the token for its link.
#[must_use]
pub fn issue(invitation: Invitation, clock: &dyn Clock, random: &dyn Random) -> (InviteRecord, PlainToken) {
    let now = clock.now();
    let (token, token_hash) = token::issue(TokenKind::Invite, random);
    let record = InviteRecord {
        id: InviteId::generate(clock, random),
        tenant: invitation.tenant,
        person: invitation.person,
        invited_by: invitation.invited_by,
        token_hash,
        roles: invitation.roles,
        created: now,
        expires: now + INVITE_LIFETIME,
        accepted: None,
        withdrawn: None,
    };
    (record, token)
}

impl InviteRecord {
    /// Whether it may be used at `now` at `tenant`.
    ///
    /// # Errors
    /// When it was used or withdrawn, is too old, or belongs to another tenant.
    pub fn check(&self, tenant: TenantId, now: Timestamp) -> Result<(), InviteError> {
        if self.tenant != tenant {
            return Err(InviteError::Unknown);
        }
        if self.withdrawn.is_some() {
            return Err(InviteError::Withdrawn);
        }
        if self.accepted.is_some() {
            return Err(InviteError::Used);
        }
        if now >= self.expires { Err(InviteError::Expired) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use carekeep_kernel::{ManualClock, SeededRandom};

    use super::*;

    fn fixture() -> (ManualClock, SeededRandom, Invitation) {
        let clock = ManualClock::at(Timestamp::from_micros(1_700_000_000_000_000));
        let random = SeededRandom::new(1);
        let invitation = Invitation {
            tenant: TenantId::generate(&clock, &random),
            person: PersonId::generate(&clock, &random),
            invited_by: PersonId::generate(&clock, &random),
            roles: vec!["clinician".to_owned()],
        };
        (clock, random, invitation)
    }

    #[test]
    fn an_invitation_is_good_for_72_hours_to_the_second() {
        let (clock, random, invitation) = fixture();
        let (record, token) = issue(invitation.clone(), &clock, &random);
        assert_eq!(TokenHash::of_presented(TokenKind::Invite, token.reveal()), Ok(record.token_hash));
        clock.advance(INVITE_LIFETIME - Duration::from_secs(1));
        assert_eq!(record.check(invitation.tenant, clock.now()), Ok(()));
        clock.advance(Duration::from_secs(1));
        assert_eq!(record.check(invitation.tenant, clock.now()), Err(InviteError::Expired));
    }

    #[test]
    fn a_used_a_withdrawn_and_a_foreign_invitation_are_refused_alike() {
        let (clock, random, invitation) = fixture();
        let (good, _token) = issue(invitation.clone(), &clock, &random);
        let now = clock.now();
        assert_eq!(good.check(invitation.tenant, now), Ok(()));
        let used = InviteRecord { accepted: Some(now), ..good.clone() };
        let withdrawn = InviteRecord { withdrawn: Some(now), ..good.clone() };
        let texts = [
            used.check(invitation.tenant, now),
            withdrawn.check(invitation.tenant, now),
            good.check(TenantId::generate(&clock, &random), now),
            good.check(invitation.tenant, good.expires),
        ]
        .map(|verdict| verdict.map_err(|error| error.to_string()));
        assert!(texts.iter().all(|text| text.is_err() && *text == texts[0]), "{texts:?}");
    }
}
