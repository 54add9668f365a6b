//! Charging and settling guesses.

use super::{Identity, IdentityError, Repository, repository::LockKey};
use crate::softlock::LockState;

/// How often a state is read again when somebody else changed it at the same moment.
const TRIES: usize = 16;

/// How a charged guess ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Right,
    Wrong,
    /// It was never checked.
    Unchecked,
}

impl<R: Repository> Identity<R> {
    /// Charges a guess before it is checked.
    pub(super) async fn charge(&self, key: LockKey<'_>) -> Result<(), IdentityError> {
        for _ in 0..TRIES {
            let (before, version) = self.repository.lock(key).await?;
            let mut state = before;
            let allowed = state.attempt(self.now());
            if state == before || self.repository.save_lock(key, state, version).await? {
                return allowed.map_err(Into::into);
            }
        }
        // Whoever is guessing in parallel that much can wait.
        Err(IdentityError::Busy)
    }

    /// Settles a charged guess. Not being able to is no harm: the guess stays charged.
    pub(super) async fn settle(&self, key: LockKey<'_>, outcome: Outcome) -> Result<(), IdentityError> {
        for _ in 0..TRIES {
            let (mut state, version) = self.repository.lock(key).await?;
            self.apply(&mut state, outcome);
            if self.repository.save_lock(key, state, version).await? {
                break;
            }
        }
        Ok(())
    }

    fn apply(&self, state: &mut LockState, outcome: Outcome) {
        let now = self.now();
        match outcome {
            Outcome::Right => state.succeeded(now),
            Outcome::Unchecked => state.given_back(now),
            Outcome::Wrong => {
                state.failed(now);
            }
        }
    }
}
