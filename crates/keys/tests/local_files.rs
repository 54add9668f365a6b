//! What the one-machine key service promises about its files.

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use carekeep_kernel::{ManualClock, OsRandom, Profile};
use carekeep_keys::{KeyError, KeyPurpose, KeyService, LocalKms};
use support::{START, context, tenant};

const DAY: Duration = Duration::from_secs(86_400);

fn open(directory: &Path, clock: &Arc<ManualClock>) -> Result<LocalKms, KeyError> {
    LocalKms::open(directory, Profile::Dev, Arc::clone(clock) as _, Arc::new(OsRandom))
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(START))
}

#[test]
fn k9_production_refuses_the_local_service_and_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kms");
    let refused = LocalKms::open(&path, Profile::Production, clock(), Arc::new(OsRandom));
    assert_eq!(refused.err(), Some(KeyError::LocalInProduction));
    assert!(!path.exists());
    assert!(open(&path, &clock()).is_ok());
}

#[tokio::test]
async fn keys_and_states_survive_a_restart_and_are_seen_by_other_processes() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) =
        (open(directory.path(), &clock()).unwrap(), open(directory.path(), &clock()).unwrap());
    let key = first.create_key(tenant(1)).await.unwrap();
    let context = context(tenant(1), KeyPurpose::Data, 1);
    let (plain, wrapped) = first.generate_data_key(&key, &context).await.unwrap();
    assert!(*second.unwrap(&key, &wrapped, &context).await.unwrap() == *plain);
    second.disable(&key).await.unwrap();
    assert_eq!(first.unwrap(&key, &wrapped, &context).await.err(), Some(KeyError::Disabled(key.clone())));
    let third = open(directory.path(), &clock()).unwrap();
    assert_eq!(third.unwrap(&key, &wrapped, &context).await.err(), Some(KeyError::Disabled(key)));
}

#[tokio::test]
async fn a_destroyed_key_leaves_no_material_and_a_new_one_opens_nothing_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let clock = clock();
    let service = open(directory.path(), &clock).unwrap();
    let key = service.create_key(tenant(1)).await.unwrap();
    let context = context(tenant(1), KeyPurpose::Data, 1);
    let (_, wrapped) = service.generate_data_key(&key, &context).await.unwrap();
    service.schedule_deletion(&key, 7).await.unwrap();
    let file = directory.path().join(format!("keys/{}.json", tenant(1)));
    let material = |text: &str| {
        let parsed: serde_json::Value = serde_json::from_str(text).unwrap();
        parsed["material"].as_str().map(str::to_owned)
    };
    clock.advance(7 * DAY - Duration::from_secs(1));
    drop(open(directory.path(), &clock).unwrap());
    assert!(material(&fs::read_to_string(&file).unwrap()).is_some(), "one second early");
    clock.advance(Duration::from_secs(1));
    drop(open(directory.path(), &clock).unwrap());
    assert_eq!(material(&fs::read_to_string(&file).unwrap()), None, "destroyed at open, untouched by calls");

    let not_found = KeyError::NotFound(key.clone());
    assert_eq!(service.unwrap(&key, &wrapped, &context).await.err(), Some(not_found.clone()));
    assert_eq!(service.cancel_deletion(&key).await, Err(not_found));
    let new = service.create_key(tenant(1)).await.unwrap();
    assert_ne!(new, key);
    assert_eq!(service.unwrap(&new, &wrapped, &context).await.err(), Some(KeyError::WrongContext));
}

#[tokio::test]
async fn files_are_private_and_a_master_key_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kms");
    open(&path, &clock()).unwrap().create_key(tenant(1)).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let master = path.join("master.key");
    assert_eq!(mode(&path), 0o700);
    assert_eq!(mode(&master), 0o600);
    assert_eq!(mode(&path.join(format!("keys/{}.json", tenant(1)))), 0o600);
    fs::set_permissions(&master, fs::Permissions::from_mode(0o640)).unwrap();
    let error = open(&path, &clock()).err().unwrap();
    assert!(error.to_string().contains("chmod 600"), "{error}");
    fs::set_permissions(&master, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(open(&path, &clock()).is_ok());
}

#[tokio::test]
async fn a_lost_damaged_or_foreign_master_key_is_refused_and_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let service = open(path, &clock()).unwrap();
    let key = service.create_key(tenant(1)).await.unwrap();
    let master = path.join("master.key");
    let good = fs::read(&master).unwrap();

    fs::remove_file(&master).unwrap();
    assert!(matches!(open(path, &clock()).err(), Some(KeyError::Storage(_))));
    assert!(!master.exists());
    for damaged in [&b""[..], &good[..63], &[b'x'; 64], &[&good[..], b"0"].concat()] {
        fs::write(&master, damaged).unwrap();
        fs::set_permissions(&master, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(matches!(open(path, &clock()).err(), Some(KeyError::Storage(_))), "{damaged:?}");
    }
    fs::write(&master, [b'a'; 64]).unwrap();
    let context = context(tenant(1), KeyPurpose::Data, 1);
    let foreign = open(path, &clock()).unwrap();
    assert!(matches!(foreign.generate_data_key(&key, &context).await.err(), Some(KeyError::Storage(_))));
    fs::write(&master, good).unwrap();
    assert!(open(path, &clock()).unwrap().generate_data_key(&key, &context).await.is_ok());
}

#[tokio::test]
async fn a_key_moved_to_another_tenants_file_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let service = open(directory.path(), &clock()).unwrap();
    let key = service.create_key(tenant(1)).await.unwrap();
    let file = |seed| directory.path().join(format!("keys/{}.json", tenant(seed)));
    fs::copy(file(1), file(2)).unwrap();
    let moved = service.create_key(tenant(2)).await.unwrap();
    let context = context(tenant(2), KeyPurpose::Data, 1);
    assert!(matches!(service.generate_data_key(&moved, &context).await.err(), Some(KeyError::Storage(_))));
    assert!(service.generate_data_key(&key, &context).await.is_ok());
}

#[tokio::test]
async fn a_reference_cannot_lead_out_of_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let service = open(directory.path(), &clock()).unwrap();
    for text in ["", "local:", "local:../../etc/passwd/x", "fake:x/1", "local:master.key/", "local:/x"] {
        let key = carekeep_keys::KeyRef(text.to_owned());
        assert_eq!(service.describe(&key).await, Err(KeyError::NotFound(key.clone())), "{text:?}");
    }
}

#[tokio::test]
async fn k6_a_lock_that_is_never_released_is_an_answer_in_time_and_then_works() {
    let directory = tempfile::tempdir().unwrap();
    let service = open(directory.path(), &clock()).unwrap();
    let key = service.create_key(tenant(1)).await.unwrap();
    let lock = fs::File::open(directory.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let began = Instant::now();
    let refused = service.describe(&key).await.err().unwrap();
    assert!(matches!(&refused, KeyError::Unavailable(why) if why.contains("another process")), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    // Somebody who is done in a moment is waited for.
    let (waiting, ()) = tokio::join!(service.describe(&key), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        lock.unlock().unwrap();
    });
    assert_eq!(waiting.unwrap().key, key);
}
