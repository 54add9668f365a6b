//! Keeping and checking passwords: argon2id in a bounded pool of blocking threads.
//!
//! Invariants: a login storm gets [`PasswordError::Busy`] and cannot take more processors or memory than the pool has; a
//! password of somebody who does not exist takes the same path and the same work as a wrong one ([`PasswordHashes::verify`]
//! with no stored password).

use std::sync::Arc;

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher as _, PasswordVerifier as _, Version,
    password_hash::{PasswordHash, SaltString},
};
use carekeep_kernel::{Random, random};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use zeroize::{Zeroize, Zeroizing};

use super::{PasswordUse, PlainPassword, PolicyError};

/// How passwords are hashed, and how many at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashSettings {
    /// Memory of one hash in KiB. At least 19,456 (19 MiB).
    pub memory_kib: u32,
    /// Passes. At least 2.
    pub passes: u32,
    /// Hashes that are computed at a time: one thread and `memory_kib` each. At least 1.
    pub parallel: usize,
    /// Hashes that may wait for a thread; further ones are refused at once.
    pub waiting: usize,
}

impl Default for HashSettings {
    /// 19 MiB, two passes (OWASP's minimum for argon2id); two at a time, 32 waiting: about half a second at the worst.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, parallel: 2, waiting: 32 }
    }
}

impl HashSettings {
    /// For a process on a machine with so many processors: hashing gets half of them, at least one, so that people who sign in
    /// leave the others to those who read. Waiting is half a second at the worst, as with the default.
    #[must_use]
    pub fn for_processors(processors: usize) -> Self {
        let parallel = (processors / 2).max(1);
        Self { parallel, waiting: parallel * 16, ..Self::default() }
    }
}

/// A password as it is stored: a PHC string with algorithm, parameters, salt and hash. Without `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoredPassword(String);

impl StoredPassword {
    /// The password that this stored text is.
    #[must_use]
    pub const fn from_phc(text: String) -> Self {
        Self(text)
    }

    /// The text to store.
    #[must_use]
    pub fn as_phc(&self) -> &str {
        &self.0
    }
}

/// Whether a password is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the person's.
    Right {
        /// It was hashed with weaker settings than today's: hash and store it anew.
        rehash: bool,
    },
    /// It is not, or nobody has it.
    Wrong,
}

/// A password that could not be hashed or checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too many at a time. To be answered with 429.
    #[error("too many people are signing in at this moment: try again in a few seconds")]
    Busy,
    /// The settings are weaker than allowed, or the stored text is not a PHC string of argon2id.
    #[error("passwords cannot be checked: the settings or the stored password are not valid argon2id")]
    Invalid,
}

/// A new password that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// The policy does not allow it.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// It could not be hashed.
    #[error(transparent)]
    Hash(#[from] PasswordError),
}

/// The pool that hashes and checks passwords. One per process.
#[derive(Clone)]
pub struct PasswordHashes {
    argon: Argon2<'static>,
    decoy: Arc<str>,
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl PasswordHashes {
    /// A pool with these settings.
    ///
    /// # Errors
    /// When the settings are weaker than 19 MiB and two passes, or allow no hash at all.
    pub fn new(settings: HashSettings, source: &dyn Random) -> Result<Self, PasswordError> {
        if settings.memory_kib < 19 * 1024 || settings.passes < 2 || settings.parallel == 0 {
            return Err(PasswordError::Invalid);
        }
        let params =
            Params::new(settings.memory_kib, settings.passes, 1, None).map_err(|_| PasswordError::Invalid)?;
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let mut nobody = random::bytes::<32>(source);
        let decoy = hash_now(&argon, &nobody, &salt(source)?)?;
        nobody.zeroize();
        Ok(Self {
            argon,
            decoy: decoy.into(),
            places: Arc::new(Semaphore::new(settings.parallel + settings.waiting)),
            running: Arc::new(Semaphore::new(settings.parallel)),
        })
    }

    /// Hashes a new password with a fresh salt.
    ///
    /// # Errors
    /// When the pool is full.
    pub async fn hash(
        &self,
        password: PlainPassword,
        source: &dyn Random,
    ) -> Result<StoredPassword, PasswordError> {
        let salt = salt(source)?;
        let argon = self.argon.clone();
        self.run(move || hash_now(&argon, password.as_bytes(), &salt)).await?.map(StoredPassword)
    }

    /// Judges a new password by the policy and hashes it, both in the pool: judging costs milliseconds too.
    ///
    /// # Errors
    /// When the policy does not allow it or the pool is full.
    pub async fn choose(
        &self,
        input: Zeroizing<String>,
        usage: PasswordUse,
        context: Vec<String>,
        source: &dyn Random,
    ) -> Result<StoredPassword, ChooseError> {
        let salt = salt(source)?;
        let argon = self.argon.clone();
        let work = move || {
            let context: Vec<&str> = context.iter().map(String::as_str).collect();
            let password = PlainPassword::chosen(&input, usage, &context)?;
            Ok(StoredPassword(hash_now(&argon, password.as_bytes(), &salt)?))
        };
        self.run(work).await?
    }

    /// Checks a password. `stored` is `None` when the login name is nobody's or its owner has no password; the same
    /// work is done, and the answer is `Wrong`.
    ///
    /// # Errors
    /// When the pool is full, or the stored text cannot be read.
    pub async fn verify(
        &self,
        password: PlainPassword,
        stored: Option<&StoredPassword>,
    ) -> Result<Verdict, PasswordError> {
        let exists = stored.is_some();
        let phc: Arc<str> = stored.map_or_else(|| Arc::clone(&self.decoy), |stored| stored.as_phc().into());
        let argon = self.argon.clone();
        self.run(move || verify_now(&argon, password.as_bytes(), &phc, exists)).await?
    }

    /// Spends the time of a check on a password that is nobody's.
    ///
    /// # Errors
    /// When the pool is full, exactly as [`Self::verify`].
    pub async fn verify_absent(&self, password: PlainPassword) -> Result<Verdict, PasswordError> {
        self.verify(password, None).await
    }

    /// Runs `work` when it is its turn. The places are given back when the work ends, not when the caller goes away:
    /// clients that hang up must not make the pool larger.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| PasswordError::Busy)?;
        let turn = Arc::clone(&self.running).acquire_owned().await.map_err(|_| PasswordError::Busy)?;
        let held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (place, turn);
        let job = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(held);
            result
        });
        job.await.map_err(|_| PasswordError::Busy)
    }
}

fn salt(source: &dyn Random) -> Result<SaltString, PasswordError> {
    SaltString::encode_b64(&random::bytes::<16>(source)).map_err(|_| PasswordError::Invalid)
}

fn hash_now(argon: &Argon2<'_>, password: &[u8], salt: &SaltString) -> Result<String, PasswordError> {
    argon.hash_password(password, salt).map(|hash| hash.to_string()).map_err(|_| PasswordError::Invalid)
}

fn verify_now(
    argon: &Argon2<'_>,
    password: &[u8],
    phc: &str,
    exists: bool,
) -> Result<Verdict, PasswordError> {
    let hash = PasswordHash::new(phc).map_err(|_| PasswordError::Invalid)?;
    let stored = Params::try_from(&hash).map_err(|_| PasswordError::Invalid)?;
    if hash.algorithm != Algorithm::Argon2id.ident() {
        return Err(PasswordError::Invalid);
    }
    // Verifies with the parameters of the stored hash, compares in constant time.
    let right = argon.verify_password(password, &hash).is_ok();
    let today = argon.params();
    let rehash = stored.m_cost() < today.m_cost() || stored.t_cost() < today.t_cost();
    Ok(if right && exists { Verdict::Right { rehash } } else { Verdict::Wrong })
}

#[cfg(test)]
mod tests;
