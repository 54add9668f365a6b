//! Guess limits per credential, as a pure state machine over an injected moment.
//!
//! Invariants: guesses are few per day whatever the attacker does in parallel or from how many addresses; nobody is
//! locked out for ever; a passkey always gets its owner in, because a signature cannot be guessed.
//!
//! An attempt is charged *before* the proof is checked ([`LockState::attempt`]) and given back when the proof was right
//! ([`LockState::succeeded`]), so attempts in flight at the same time cannot outrun the limit. The caller stores the charged
//! state (compare-and-set) before it checks anything. The state of a login name that nobody has is kept just the same,
//! under the blind token of the name: a lock must not tell who exists.

use std::time::Duration;

use carekeep_kernel::Timestamp;
use serde::{Deserialize, Serialize};

/// What is guessed at. Each kind has limits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockKind {
    /// A password.
    Password,
    /// A one-time code of six digits.
    Totp,
    /// A recovery code.
    Recovery,
    /// A passkey.
    Passkey,
}

/// The limits of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockLimits {
    /// Wrong attempts in a row that cost no wait.
    pub free: u32,
    /// The wait after the next one; doubles with each further one.
    pub first_wait: Duration,
    /// The longest such wait.
    pub longest_wait: Duration,
    /// Attempts in one 30-second step.
    pub per_step: u32,
    /// Wrong attempts in 24 hours.
    pub per_day: u32,
}

/// The window of the daily cap.
const DAY: Duration = Duration::from_secs(24 * 3600);

impl LockKind {
    /// The limits. NIST SP 800-63B-4 section 3.2.2 allows 100 consecutive failures; fewer per day here.
    #[must_use]
    pub const fn limits(self) -> LockLimits {
        match self {
            Self::Password => LockLimits {
                free: 5,
                first_wait: Duration::from_secs(1),
                longest_wait: Duration::from_secs(15 * 60),
                per_step: 10,
                per_day: 100,
            },
            // Three codes are valid at a time: 100 wrong ones a day hit one with a chance of 3 in 10,000.
            Self::Totp => LockLimits {
                free: 9,
                first_wait: Duration::from_secs(30),
                longest_wait: Duration::from_secs(15 * 60),
                per_step: 3,
                per_day: 100,
            },
            Self::Recovery => LockLimits {
                free: 5,
                first_wait: Duration::from_secs(10),
                longest_wait: Duration::from_secs(15 * 60),
                per_step: 5,
                per_day: 50,
            },
            // Never waits before the proof: see `attempt`.
            Self::Passkey => LockLimits {
                free: 0,
                first_wait: Duration::from_secs(1),
                longest_wait: Duration::from_secs(1),
                per_step: u32::MAX,
                per_day: u32::MAX,
            },
        }
    }
}

/// Too many attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts: try again in {} seconds, or sign in with a passkey", self.seconds())]
pub struct RetryAfter {
    /// How long to wait, more than zero.
    pub wait: Duration,
}

impl RetryAfter {
    /// Whole seconds, rounded up, at least one: the value of a `Retry-After` header.
    #[must_use]
    pub const fn seconds(&self) -> u64 {
        let whole = self.wait.as_secs() + if self.wait.subsec_nanos() > 0 { 1 } else { 0 };
        if whole == 0 { 1 } else { whole }
    }
}

/// The guess counters of one credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockState {
    kind: LockKind,
    /// Wrong attempts since the last right one.
    row: u32,
    /// No attempt before this.
    not_before: Timestamp,
    /// Number of the present step, and wrong attempts in it.
    step: i64,
    in_step: u32,
    /// Begin of the present 24 hours, and wrong attempts in them. A right attempt does not clear them.
    day: Timestamp,
    in_day: u32,
}

impl LockState {
    /// Nothing has happened yet.
    #[must_use]
    pub const fn new(kind: LockKind) -> Self {
        let epoch = Timestamp::from_micros(0);
        Self { kind, row: 0, not_before: epoch, step: 0, in_step: 0, day: epoch, in_day: 0 }
    }

    /// What it counts.
    #[must_use]
    pub const fn kind(&self) -> LockKind {
        self.kind
    }

    /// Charges one attempt, before anything is verified. To be stored before going on.
    ///
    /// # Errors
    /// When no attempt is allowed yet. The state is unchanged then, unless the clock was set back since: what lay in the
    /// future is moved to `now`, and is to be stored too, or each refusal would promise the same wait again. Never for a
    /// passkey.
    pub fn attempt(&mut self, now: Timestamp) -> Result<(), RetryAfter> {
        if self.kind == LockKind::Passkey {
            return Ok(());
        }
        let limits = self.kind.limits();
        self.forget_the_future(now);
        let mut charged = *self;
        charged.roll(now);
        charged.check(now, &limits)?;
        charged.in_step += 1;
        charged.in_day += 1;
        charged.row = charged.row.saturating_add(1);
        charged.not_before = now + wait_after(charged.row, &limits);
        *self = charged;
        Ok(())
    }

    /// The attempt was wrong. Answers how long the next one has to wait.
    pub fn failed(&mut self, now: Timestamp) -> RetryAfter {
        let limits = self.kind.limits();
        if self.kind == LockKind::Passkey {
            // Only the answer is slowed down: the owner's next signature is accepted all the same.
            return RetryAfter { wait: limits.first_wait };
        }
        self.roll(now);
        // The wait counts from the answer, which may come much later than the charge when the machine is busy.
        self.not_before = self.not_before.max(now + wait_after(self.row, &limits));
        RetryAfter { wait: self.next_allowed(now, &limits) }
    }

    /// The attempt was right: it is given back and the row of wrong ones ends.
    pub fn succeeded(&mut self, now: Timestamp) {
        if self.kind == LockKind::Passkey {
            return;
        }
        self.roll(now);
        self.in_step = self.in_step.saturating_sub(1);
        self.in_day = self.in_day.saturating_sub(1);
        self.row = 0;
        self.not_before = now;
    }

    /// The attempt was never checked (the machine was busy): it is given back, and nothing else changes.
    pub fn given_back(&mut self, now: Timestamp) {
        if self.kind == LockKind::Passkey {
            return;
        }
        self.roll(now);
        self.in_step = self.in_step.saturating_sub(1);
        self.in_day = self.in_day.saturating_sub(1);
        self.row = self.row.saturating_sub(1);
        self.not_before = self.not_before.min(now + wait_after(self.row, &self.kind.limits()));
    }

    /// Whether nothing is left to remember, so that the row can be deleted.
    #[must_use]
    pub fn is_forgettable(&self, now: Timestamp) -> bool {
        now.since(self.day) >= DAY && now >= self.not_before
    }

    fn roll(&mut self, now: Timestamp) {
        self.forget_the_future(now);
        let step = step_of(now);
        if step != self.step {
            (self.step, self.in_step) = (step, 0);
        }
        if now.since(self.day) >= DAY {
            (self.day, self.in_day) = (now, 0);
        }
    }

    /// A clock that was set back must not make anybody wait for longer than a rule says.
    fn forget_the_future(&mut self, now: Timestamp) {
        self.day = self.day.min(now);
        // With its count: a clock that goes back gives no further tries, and the wait that is promised now is the wait.
        self.step = self.step.min(step_of(now));
        self.not_before = self.not_before.min(now + self.kind.limits().longest_wait);
    }

    fn check(&self, now: Timestamp, limits: &LockLimits) -> Result<(), RetryAfter> {
        let wait = self.next_allowed(now, limits);
        if wait.is_zero() { Ok(()) } else { Err(RetryAfter { wait }) }
    }

    fn next_allowed(&self, now: Timestamp, limits: &LockLimits) -> Duration {
        let mut at = self.not_before;
        if self.in_step >= limits.per_step {
            at = at.max(Timestamp::from_micros((self.step + 1).saturating_mul(30_000_000)));
        }
        if self.in_day >= limits.per_day {
            at = at.max(self.day + DAY);
        }
        at.since(now)
    }
}

/// The number of a step of 30 seconds.
fn step_of(now: Timestamp) -> i64 {
    now.as_seconds().div_euclid(30)
}

fn wait_after(row: u32, limits: &LockLimits) -> Duration {
    let Some(beyond) = row.checked_sub(limits.free + 1) else { return Duration::ZERO };
    limits.first_wait.saturating_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX)).min(limits.longest_wait)
}

#[cfg(test)]
mod tests;
