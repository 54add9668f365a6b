//! A tenant's storage in memory: one lock, so that every method is as atomic as the trait asks for;
//! reading gives way to other tasks, so that races happen between reading and writing.
//!
//! The store's tables take its place when they exist; these tests then run on them unchanged.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use carekeep_identity::{
    TokenHash,
    invite::InviteRecord,
    passkey::{CeremonyId, CeremonyRecord, Demand, PasskeyRecord},
    password::StoredPassword,
    recovery::RecoveryRecord,
    service::{
        Login, LoginName, PersonRecord, Repository, RepositoryError,
        repository::{FactorChange, LockKey, NewFactor, OpenRecovery, Removed, TotpRecord, Written},
    },
    session::SessionRecord,
    softlock::{LockKind, LockState},
    totp::{Step, TotpSecret},
};
use carekeep_kernel::{CredentialId, PersonId, SessionId, Timestamp};
use tokio::sync::Barrier;

type Answer<T> = Result<T, RepositoryError>;

struct Totp {
    id: CredentialId,
    person: PersonId,
    secret: [u8; 20],
    last: Option<Step>,
    confirmed: bool,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) people: Vec<(String, PersonRecord)>,
    passwords: HashMap<PersonId, StoredPassword>,
    locks: HashMap<String, (LockState, u64)>,
    totps: Vec<Totp>,
    passkeys: Vec<PasskeyRecord>,
    codes: Vec<RecoveryRecord>,
    sessions: Vec<SessionRecord>,
    invites: Vec<InviteRecord>,
    ceremonies: Vec<CeremonyRecord>,
    /// Whether there are no passwords at this tenant.
    pub(crate) without_passwords: bool,
    /// Whether two factors of the tenant's identity provider are two here, for everybody.
    pub(crate) leaves_to_provider: bool,
    /// What is demanded of everybody's passkeys.
    pub(crate) demand: Demand,
}

impl State {
    fn write(&mut self, person: PersonId, factor: &NewFactor) -> bool {
        match factor {
            NewFactor::Password(stored) => {
                self.passwords.insert(person, stored.clone());
            }
            NewFactor::Totp(id, step) => {
                let Some(totp) = self.totps.iter_mut().find(|totp| totp.id == *id && !totp.confirmed) else {
                    return false;
                };
                (totp.confirmed, totp.last) = (true, Some(*step));
                self.totps.retain(|totp| totp.person != person || totp.id == *id);
            }
            NewFactor::Passkey(new) => {
                if self.passkeys.iter().any(|passkey| passkey.credential_id == new.credential_id) {
                    return false;
                }
                self.passkeys.push((**new).clone());
            }
            NewFactor::RecoveryCodes(codes) => {
                self.codes.retain(|code| code.person != person);
                self.codes.extend_from_slice(codes);
            }
        }
        true
    }

    fn revoke(&mut self, person: PersonId, but: Option<SessionId>, now: Timestamp) -> u64 {
        let ends =
            |one: &&mut SessionRecord| one.person == person && Some(one.id) != but && one.revoked.is_none();
        let ended = self.sessions.iter_mut().filter(ends).map(|session| session.revoked = Some(now));
        u64::try_from(ended.count()).unwrap()
    }
}

/// Where attempts meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Totp,
    Codes,
    Session,
    Invite,
    Passkey,
}

#[derive(Default)]
pub(crate) struct Memory {
    state: Mutex<State>,
    meeting: Mutex<Option<(Read, Arc<Barrier>)>>,
}

impl Memory {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From now on, whoever has read this waits until `attempts` have: all of them then act on what they read at the same
    /// moment.
    pub(crate) fn let_them_meet(&self, read: Read, attempts: usize) {
        *self.meeting.lock().unwrap() = Some((read, Arc::new(Barrier::new(attempts))));
    }

    pub(crate) fn part(&self) {
        *self.meeting.lock().unwrap() = None;
    }

    async fn meet(&self, read: Read) {
        let meeting = self.meeting.lock().unwrap().clone();
        if let Some((_, barrier)) = meeting.filter(|(at, _)| *at == read) {
            barrier.wait().await;
        }
    }

    fn find_totp(&self, wanted: impl Fn(&Totp) -> bool) -> Option<TotpRecord> {
        self.state().totps.iter().find(|totp| wanted(totp)).map(|totp| TotpRecord {
            id: totp.id,
            secret: TotpSecret::from_bytes(totp.secret),
            last_used: totp.last,
        })
    }
}

fn lock_key(key: LockKey<'_>) -> String {
    match key {
        LockKey::Login(name) => format!("login {}", name.as_str()),
        LockKey::Person(kind, person) => format!("{kind:?} {person}"),
    }
}

fn kind(key: LockKey<'_>) -> LockKind {
    key.kind()
}

impl Repository for Memory {
    async fn passwords(&self) -> Answer<bool> {
        Ok(!self.state().without_passwords)
    }

    async fn login(&self, name: &LoginName) -> Answer<Option<Login>> {
        tokio::task::yield_now().await;
        let state = self.state();
        let found = state.people.iter().find(|(login, _)| login == name.as_str());
        Ok(found
            .map(|(_, person)| Login { person: *person, password: state.passwords.get(&person.id).cloned() }))
    }

    async fn person(&self, id: PersonId) -> Answer<Option<PersonRecord>> {
        Ok(self.state().people.iter().map(|(_, person)| *person).find(|person| person.id == id))
    }

    async fn write_factor(&self, change: &FactorChange, now: Timestamp) -> Answer<Written> {
        let (mut state, person) = (self.state(), change.session.person);
        let live = |one: &SessionRecord| {
            one.id == change.session.id && one.token_hash == change.old && one.revoked.is_none()
        };
        let Some(place) = state.sessions.iter().position(live) else { return Ok(Written::SessionOver) };
        if !state.write(person, &change.factor) {
            return Ok(Written::Taken);
        }
        state.sessions[place] = change.session.clone();
        if change.completes {
            let own = state.people.iter_mut().map(|(_, one)| one).find(|one| one.id == person);
            own.map(|own| own.activated.get_or_insert(now));
        }
        if change.ends_others {
            state.revoke(person, Some(change.session.id), now);
        }
        Ok(Written::Done)
    }

    async fn lock(&self, key: LockKey<'_>) -> Answer<(LockState, u64)> {
        tokio::task::yield_now().await;
        let fresh = (LockState::new(kind(key)), 0);
        Ok(self.state().locks.get(&lock_key(key)).copied().unwrap_or(fresh))
    }

    async fn save_lock(&self, key: LockKey<'_>, new: LockState, version: u64) -> Answer<bool> {
        let mut state = self.state();
        let known = state.locks.get(&lock_key(key)).map_or(0, |(_, version)| *version);
        if known == version {
            state.locks.insert(lock_key(key), (new, version + 1));
        }
        Ok(known == version)
    }

    async fn rehash_password(
        &self,
        person: PersonId,
        (old, new): (&StoredPassword, &StoredPassword),
        _now: Timestamp,
    ) -> Answer<bool> {
        let mut state = self.state();
        let same = state.passwords.get(&person) == Some(old);
        if same {
            state.passwords.insert(person, new.clone());
        }
        Ok(same)
    }

    async fn totp(&self, person: PersonId) -> Answer<Option<TotpRecord>> {
        let found = self.find_totp(|totp| totp.person == person && totp.confirmed);
        self.meet(Read::Totp).await;
        Ok(found)
    }

    async fn unconfirmed_totp(&self, person: PersonId) -> Answer<Option<TotpRecord>> {
        tokio::task::yield_now().await;
        Ok(self.find_totp(|totp| totp.person == person && !totp.confirmed))
    }

    async fn put_unconfirmed_totp(&self, person: PersonId, new: &TotpRecord, _now: Timestamp) -> Answer<()> {
        let mut state = self.state();
        state.totps.retain(|totp| totp.person != person || totp.confirmed);
        let secret = *new.secret.as_bytes();
        state.totps.push(Totp { id: new.id, person, secret, last: None, confirmed: false });
        Ok(())
    }

    async fn use_totp_step(&self, id: CredentialId, step: Step) -> Answer<bool> {
        let mut state = self.state();
        let totp = state.totps.iter_mut().find(|totp| totp.id == id && totp.last < Some(step));
        Ok(totp.is_some_and(|totp| totp.last.replace(step) < Some(step)))
    }

    async fn leaves_factors_to_provider(&self, _: &PersonRecord) -> Answer<bool> {
        Ok(self.state().leaves_to_provider)
    }

    async fn demand(&self, _: &PersonRecord) -> Answer<Demand> {
        Ok(self.state().demand.clone())
    }

    async fn passkeys(&self, person: PersonId) -> Answer<Vec<PasskeyRecord>> {
        Ok(self.state().passkeys.iter().filter(|passkey| passkey.person == person).cloned().collect())
    }

    async fn passkey(&self, credential_id: &[u8]) -> Answer<Option<PasskeyRecord>> {
        let found =
            self.state().passkeys.iter().find(|passkey| passkey.credential_id == credential_id).cloned();
        self.meet(Read::Passkey).await;
        Ok(found)
    }

    async fn rename_passkey(&self, person: PersonId, id: CredentialId, name: &str) -> Answer<bool> {
        let mut state = self.state();
        let mut own = state.passkeys.iter_mut().filter(|passkey| passkey.person == person);
        Ok(own.find(|passkey| passkey.id == id).map(|passkey| name.clone_into(&mut passkey.name)).is_some())
    }

    async fn remove_passkey(
        &self,
        (person, session): (PersonId, SessionId),
        id: CredentialId,
        now: Timestamp,
    ) -> Answer<Removed> {
        let mut state = self.state();
        if !state.sessions.iter().any(|one| one.id == session && one.revoked.is_none()) {
            return Ok(Removed::SessionOver);
        }
        let own: Vec<CredentialId> = state
            .passkeys
            .iter()
            .filter(|passkey| passkey.person == person)
            .map(|passkey| passkey.id)
            .collect();
        let code = state.passwords.contains_key(&person)
            && state.totps.iter().any(|totp| totp.person == person && totp.confirmed);
        if !own.contains(&id) {
            return Ok(Removed::Absent);
        }
        if own.len() < 2 && !code {
            return Ok(Removed::LastFactors);
        }
        state.passkeys.retain(|passkey| passkey.id != id);
        state.revoke(person, Some(session), now);
        Ok(Removed::Done)
    }

    async fn update_passkey(&self, new: &PasskeyRecord, old: u32) -> Answer<bool> {
        let mut state = self.state();
        let stored = state.passkeys.iter_mut().find(|passkey| passkey.id == new.id && passkey.counter == old);
        Ok(stored.map(|passkey| *passkey = new.clone()).is_some())
    }

    async fn recovery_codes(&self, person: PersonId) -> Answer<Vec<RecoveryRecord>> {
        let found = self.state().codes.iter().filter(|code| code.person == person).cloned().collect();
        self.meet(Read::Codes).await;
        Ok(found)
    }

    async fn use_recovery_code(&self, id: CredentialId, now: Timestamp) -> Answer<bool> {
        let mut state = self.state();
        let code = state.codes.iter_mut().find(|code| code.id == id && code.used.is_none());
        Ok(code.map(|code| code.used = Some(now)).is_some())
    }

    async fn add_session(&self, session: &SessionRecord) -> Answer<()> {
        self.state().sessions.push(session.clone());
        Ok(())
    }

    async fn session(&self, token: TokenHash) -> Answer<Option<SessionRecord>> {
        let found = self.state().sessions.iter().find(|session| session.token_hash == token).cloned();
        self.meet(Read::Session).await;
        Ok(found)
    }

    async fn replace_session(&self, new: &SessionRecord, old: TokenHash) -> Answer<bool> {
        let mut state = self.state();
        let stored = state
            .sessions
            .iter_mut()
            .find(|session| session.id == new.id && session.token_hash == old && session.revoked.is_none());
        Ok(stored.map(|session| *session = new.clone()).is_some())
    }

    async fn touch_session(&self, id: SessionId, last_seen: Timestamp) -> Answer<()> {
        for session in self.state().sessions.iter_mut().filter(|session| session.id == id) {
            (session.last_seen, session.last_saved) = (last_seen, last_seen);
        }
        Ok(())
    }

    async fn sessions(&self, person: PersonId) -> Answer<Vec<SessionRecord>> {
        let state = self.state();
        let live = |one: &&SessionRecord| one.person == person && one.revoked.is_none();
        Ok(state.sessions.iter().filter(live).cloned().collect())
    }

    async fn revoke_session(&self, person: PersonId, id: SessionId, now: Timestamp) -> Answer<bool> {
        let mut state = self.state();
        let found = state.sessions.iter_mut().find(|one| one.person == person && one.id == id);
        Ok(found.map(|session| session.revoked = Some(now)).is_some())
    }

    async fn revoke_sessions(&self, person: PersonId, but: Option<SessionId>, now: Timestamp) -> Answer<u64> {
        Ok(self.state().revoke(person, but, now))
    }

    async fn add_invite(&self, invite: &InviteRecord) -> Answer<()> {
        self.state().invites.push(invite.clone());
        Ok(())
    }

    async fn invite(&self, token: TokenHash) -> Answer<Option<InviteRecord>> {
        let found = self.state().invites.iter().find(|invite| invite.token_hash == token).cloned();
        self.meet(Read::Invite).await;
        Ok(found)
    }

    async fn accept_invite(
        &self,
        accepted: &InviteRecord,
        session: &SessionRecord,
        now: Timestamp,
    ) -> Answer<bool> {
        let mut state = self.state();
        let person = accepted.person;
        let newcomer = state.people.iter().any(|(_, one)| one.id == person && one.activated.is_none());
        let open = |one: &&mut InviteRecord| {
            one.id == accepted.id && one.accepted.is_none() && one.withdrawn.is_none()
        };
        let Some(invite) = state.invites.iter_mut().find(open).filter(|_| newcomer) else { return Ok(false) };
        invite.accepted = Some(now);
        state.passwords.remove(&person);
        state.totps.retain(|totp| totp.person != person);
        state.passkeys.retain(|passkey| passkey.person != person);
        state.sessions.retain(|session| session.person != person);
        state.sessions.push(session.clone());
        Ok(true)
    }

    /// Recoveries are rows of two administrators; the tests over HTTP have them.
    async fn open_recovery(&self, _: TokenHash, _: &str, _: Timestamp) -> Answer<Option<OpenRecovery>> {
        Ok(None)
    }

    async fn use_recovery(&self, _: OpenRecovery, _: &SessionRecord, _: Timestamp) -> Answer<bool> {
        Ok(false)
    }

    async fn add_ceremony(&self, ceremony: &CeremonyRecord) -> Answer<()> {
        let copy = serde_json::from_str(&serde_json::to_string(ceremony).unwrap()).unwrap();
        self.state().ceremonies.push(copy);
        Ok(())
    }

    async fn take_ceremony(&self, id: CeremonyId, holder: TokenHash) -> Answer<Option<CeremonyRecord>> {
        let mut state = self.state();
        let taken = |ceremony: &CeremonyRecord| ceremony.id == id && ceremony.holder == holder;
        let index = state.ceremonies.iter().position(taken);
        Ok(index.map(|index| state.ceremonies.swap_remove(index)))
    }
}
