//! The contract of every key service, as one function.

use std::time::Duration;

use carekeep_kernel::Timestamp;
use carekeep_keys::{KeyContext, KeyError, KeyPurpose, KeyRef, KeyService, KeyState, Wrapped};

use super::{context, tenant};

/// What is known about the service under test.
pub struct Subject<'a> {
    pub service: &'a dyn KeyService,
    /// A well-formed reference to a key that was never made.
    pub missing: KeyRef,
    /// Whether it does all that AWS KMS does. Moto 5.2 does not: it shows the state of a key but does not enforce it (a
    /// disabled key works, a second deletion is accepted), and it calls a foreign blob `AccessDenied` where KMS says
    /// `IncorrectKey`. Those rules are checked on the other services, and the errors over canned answers.
    pub strict: bool,
}

pub async fn check(subject: Subject<'_>) {
    creating_is_idempotent(&subject).await;
    a_data_key_comes_back_only_under_its_context(&subject).await;
    a_changed_or_foreign_blob_is_refused(&subject).await;
    a_missing_key_is_not_found(&subject).await;
    a_key_is_switched_off_and_on(&subject).await;
    a_deletion_waits_and_can_be_taken_back(&subject).await;
}

async fn creating_is_idempotent(subject: &Subject<'_>) {
    let (a, b) = (tenant(1), tenant(2));
    let key = subject.service.create_key(a).await.unwrap();
    assert_eq!(subject.service.create_key(a).await.unwrap(), key);
    assert_ne!(subject.service.create_key(b).await.unwrap(), key);
    let described = subject.service.describe(&key).await.unwrap();
    assert_eq!((described.key, described.state), (key, KeyState::Enabled));
}

async fn a_data_key_comes_back_only_under_its_context(subject: &Subject<'_>) {
    let (a, b) = (tenant(1), tenant(2));
    let key = subject.service.create_key(a).await.unwrap();
    let right = context(a, KeyPurpose::Data, 1);
    let (plain, wrapped) = subject.service.generate_data_key(&key, &right).await.unwrap();
    let (other, _) = subject.service.generate_data_key(&key, &right).await.unwrap();
    assert!(*plain != *other && *plain != [0; 32], "fresh every time");
    assert!(!wrapped.0.windows(32).any(|window| window == plain.as_slice()), "wrapped is not plain");
    assert!(*subject.service.unwrap(&key, &wrapped, &right).await.unwrap() == *plain);

    let mut wrong = vec![context(b, KeyPurpose::Data, 1), context(a, KeyPurpose::Data, 2)];
    wrong.extend(KeyPurpose::ALL.into_iter().skip(1).map(|purpose| context(a, purpose, 1)));
    for wrong in wrong {
        assert_eq!(refusal(subject, &key, &wrapped, &wrong).await, KeyError::WrongContext, "{wrong:?}");
    }
}

async fn a_changed_or_foreign_blob_is_refused(subject: &Subject<'_>) {
    let (a, b) = (tenant(1), tenant(2));
    let (key, foreign) =
        (subject.service.create_key(a).await.unwrap(), subject.service.create_key(b).await.unwrap());
    let right = context(a, KeyPurpose::Data, 1);
    let (_, wrapped) = subject.service.generate_data_key(&key, &right).await.unwrap();
    let end = wrapped.0.len();
    for at in [0, end / 2, end - 17, end - 1] {
        let mut changed = wrapped.clone();
        changed.0[at] ^= 1;
        assert_not_ours(subject, &refusal(subject, &key, &changed, &right).await);
    }
    for cut in [0, 1, end - 1] {
        let error = refusal(subject, &key, &Wrapped(wrapped.0[..cut].to_vec()), &right).await;
        assert!(matches!(error, KeyError::WrongContext | KeyError::Refused(_)), "cut to {cut}: {error:?}");
    }
    // The other tenant's key, even with this tenant's context and with its own.
    for context in [right, context(b, KeyPurpose::Data, 1)] {
        assert_not_ours(subject, &refusal(subject, &foreign, &wrapped, &context).await);
    }
    assert!(subject.service.unwrap(&key, &wrapped, &right).await.is_ok(), "control");
}

async fn a_missing_key_is_not_found(subject: &Subject<'_>) {
    let (service, missing) = (subject.service, &subject.missing);
    let context = context(tenant(1), KeyPurpose::Data, 1);
    let not_found = KeyError::NotFound(missing.clone());
    assert_eq!(service.generate_data_key(missing, &context).await.err(), Some(not_found.clone()));
    assert_eq!(service.disable(missing).await, Err(not_found.clone()));
    assert_eq!(service.enable(missing).await, Err(not_found.clone()));
    assert_eq!(service.schedule_deletion(missing, 7).await, Err(not_found.clone()));
    assert_eq!(service.cancel_deletion(missing).await, Err(not_found.clone()));
    assert_eq!(service.describe(missing).await, Err(not_found));
}

async fn a_key_is_switched_off_and_on(subject: &Subject<'_>) {
    let service = subject.service;
    let key = service.create_key(tenant(1)).await.unwrap();
    let context = context(tenant(1), KeyPurpose::Index, 1);
    let (_, wrapped) = service.generate_data_key(&key, &context).await.unwrap();
    service.disable(&key).await.unwrap();
    service.disable(&key).await.unwrap();
    assert_eq!(service.describe(&key).await.unwrap().state, KeyState::Disabled);
    assert_eq!(service.create_key(tenant(1)).await.unwrap(), key, "a disabled key is still the tenant's key");
    assert_unusable(subject, &wrapped, &context, KeyError::Disabled(key.clone())).await;
    service.enable(&key).await.unwrap();
    assert_eq!(service.describe(&key).await.unwrap().state, KeyState::Enabled);
    assert!(service.unwrap(&key, &wrapped, &context).await.is_ok());
}

async fn a_deletion_waits_and_can_be_taken_back(subject: &Subject<'_>) {
    let service = subject.service;
    let key = service.create_key(tenant(3)).await.unwrap();
    let context = context(tenant(3), KeyPurpose::Data, 1);
    let (_, wrapped) = service.generate_data_key(&key, &context).await.unwrap();
    assert_other_windows_refused(subject, &key).await;
    let due = service.schedule_deletion(&key, 30).await.unwrap();
    assert_pending(subject, &key, due).await;
    assert_unusable(subject, &wrapped, &context, KeyError::PendingDeletion(key.clone())).await;
    service.cancel_deletion(&key).await.unwrap();
    assert_eq!(service.describe(&key).await.unwrap().state, KeyState::Disabled);
    if subject.strict {
        assert!(matches!(service.cancel_deletion(&key).await, Err(KeyError::Refused(_))));
    }
    assert_unusable(subject, &wrapped, &context, KeyError::Disabled(key.clone())).await;
    service.enable(&key).await.unwrap();
    assert!(service.unwrap(&key, &wrapped, &context).await.is_ok());
}

async fn assert_other_windows_refused(subject: &Subject<'_>, key: &KeyRef) {
    for days in [0, 6, 31, u32::MAX] {
        let refused = subject.service.schedule_deletion(key, days).await;
        assert!(matches!(refused, Err(KeyError::Refused(_))), "{days} days: {refused:?}");
    }
    assert_eq!(subject.service.describe(key).await.unwrap().state, KeyState::Enabled);
}

/// A key that is off neither unwraps nor makes data keys. Moto's does, so nothing is asserted of it.
async fn assert_unusable(subject: &Subject<'_>, wrapped: &Wrapped, context: &KeyContext, expected: KeyError) {
    let (KeyError::Disabled(key) | KeyError::PendingDeletion(key)) = &expected else {
        panic!("not a state: {expected}")
    };
    if subject.strict {
        assert_eq!(refusal(subject, key, wrapped, context).await, expected);
        let generated = subject.service.generate_data_key(key, context).await;
        assert_eq!(generated.err(), Some(expected));
    }
}

async fn assert_pending(subject: &Subject<'_>, key: &KeyRef, due: Timestamp) {
    let service = subject.service;
    let KeyState::PendingDeletion(shown) = service.describe(key).await.unwrap().state else {
        panic!("not pending")
    };
    // Moto rounds the date differently in the two answers; a second either way is the same promise.
    assert!(shown.since(due).max(due.since(shown)) <= Duration::from_secs(1), "{shown} {due}");
    let pending = KeyError::PendingDeletion(key.clone());
    assert_eq!(service.create_key(tenant(3)).await, Err(pending.clone()));
    if subject.strict {
        assert_eq!(service.enable(key).await, Err(pending.clone()));
        assert_eq!(service.disable(key).await, Err(pending.clone()));
        assert_eq!(service.schedule_deletion(key, 7).await, Err(pending));
    }
}

fn assert_not_ours(subject: &Subject<'_>, error: &KeyError) {
    let by_moto = !subject.strict && matches!(error, KeyError::Refused(_));
    assert!(by_moto || *error == KeyError::WrongContext, "{error:?}");
}

async fn refusal(subject: &Subject<'_>, key: &KeyRef, wrapped: &Wrapped, context: &KeyContext) -> KeyError {
    match subject.service.unwrap(key, wrapped, context).await {
        Ok(_) => panic!("unwrapped under {context:?}"),
        Err(error) => error,
    }
}
