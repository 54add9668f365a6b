//! Signing in by what the tenant's identity provider says.

use std::time::Duration;

use carekeep_kernel::SessionId;
use uuid::Uuid;

use super::{Audience, Identity, IdentityError, Live, PersonRecord, Repository, SignedIn};
use crate::{
    PlainToken, TokenHash, TokenKind,
    federation::Round,
    flow::{Event, SessionState},
    passkey::{CeremonyId, CeremonyKind, CeremonyRecord},
    session::Who,
    token,
};

/// How long somebody may take at the provider.
const ROUND_LIFE: Duration = Duration::from_secs(10 * 60);

/// A round that has begun.
pub struct RoundBegun {
    /// What is kept of it.
    pub round: Round,
    /// The `state` that comes back.
    pub state: CeremonyId,
    /// What the browser keeps, and presents with the answer.
    pub holder: PlainToken,
}

impl<R: Repository> Identity<R> {
    /// Begins a round to the provider: its issuer, and the id under which it is set.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn begin_round(
        &self,
        provider: (&str, Uuid),
        link: Option<&Live>,
    ) -> Result<RoundBegun, IdentityError> {
        let (now, random) = (self.now(), self.random());
        let (holder, hash) = token::issue(TokenKind::Ceremony, random);
        let round = Round::begin(provider, link.map(|live| live.session.id), random);
        let record = CeremonyRecord {
            id: CeremonyId::generate(random),
            tenant: self.party.tenant(),
            holder: hash,
            person: link.map(|live| live.person.id),
            kind: CeremonyKind::Federation,
            state: serde_json::to_string(&round).map_err(|_| IdentityError::Corrupt)?,
            created: now,
            expires: now + ROUND_LIFE,
        };
        self.repository.add_ceremony(&record).await?;
        Ok(RoundBegun { round, state: record.id, holder })
    }

    /// Uses up the round that this browser began: of several answers one is looked at.
    ///
    /// # Errors
    /// When the storage does not answer.
    pub async fn take_round(&self, state: CeremonyId, holder: &str) -> Result<Option<Round>, IdentityError> {
        let Ok(holder) = TokenHash::of_presented(TokenKind::Ceremony, holder) else { return Ok(None) };
        let taken = self.repository.take_ceremony(state, holder).await?;
        let good = taken.filter(|taken| {
            taken.kind == CeremonyKind::Federation
                && taken.tenant == self.party.tenant()
                && self.now() < taken.expires
        });
        good.map(|taken| serde_json::from_str(&taken.state).map_err(|_| IdentityError::Corrupt)).transpose()
    }

    /// Signs in somebody whom the provider knows. With less than two factors that count for the person, the session can do nothing but
    /// prove one of the person's own, as after a password.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] for somebody who may not sign in, or does not work here.
    pub async fn sign_in_federated(
        &self,
        person: &PersonRecord,
        vouched_for_two: bool,
    ) -> Result<SignedIn, IdentityError> {
        if !self.may_sign_in(person) || person.audience != Audience::Staff {
            return Err(IdentityError::Refused);
        }
        let two_factors = vouched_for_two && self.repository.leaves_factors_to_provider(person).await?;
        let who = Who { tenant: person.tenant, person: person.id, device: None };
        let begun = self.begin(who, Event::VouchedFor { two_factors }).await?;
        self.keep_if(Ok(()), begun).await
    }

    /// The session in which a link was begun, if it is this one and still in.
    ///
    /// # Errors
    /// [`IdentityError::NoSession`] otherwise.
    pub async fn linking(&self, token: &str, session: SessionId) -> Result<Live, IdentityError> {
        let live = self.authenticate(token, self.activity).await?;
        let same = live.session.id == session && matches!(live.session.state, SessionState::Active { .. });
        if same { Ok(live) } else { Err(IdentityError::NoSession) }
    }
}
