//! One contract, three key services (BARS K9). What moto does not enforce is checked on the other two.

mod support;

use std::sync::Arc;

use carekeep_kernel::{ManualClock, OsRandom, Profile};
use carekeep_keys::{KeyError, KeyRef, KeyService, LocalKms};
use support::{
    START,
    contract::{self, Subject},
    fake,
    moto::Moto,
    tenant,
};

#[tokio::test]
async fn k9_the_strict_fake_keeps_the_contract() {
    let (service, _) = fake();
    let missing = KeyRef(format!("fake:{}/77", tenant(9)));
    contract::check(Subject { service: &*service, missing, strict: true }).await;
}

#[tokio::test]
async fn k9_the_local_service_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(START));
    let service = LocalKms::open(directory.path(), Profile::Dev, clock, Arc::new(OsRandom)).unwrap();
    let missing = KeyRef(format!("local:{}/0011223344556677", tenant(9)));
    contract::check(Subject { service: &service, missing, strict: true }).await;
}

#[tokio::test]
async fn k9_aws_kms_over_the_wire_keeps_the_contract() {
    let moto = Moto::start();
    let service = moto.kms().await;
    let missing =
        KeyRef("arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-4000-8000-000000000000".to_owned());
    contract::check(Subject { service: &service, missing, strict: false }).await;
}

#[tokio::test]
async fn two_who_create_a_tenants_key_at_once_get_the_same_one() {
    let moto = Moto::start();
    let (one, two) = (moto.kms().await, moto.kms().await);
    for seed in 100..105 {
        let (first, second) = tokio::join!(one.create_key(tenant(seed)), two.create_key(tenant(seed)));
        assert_eq!(first.unwrap(), second.unwrap());
    }
}

#[tokio::test]
async fn a_key_service_that_is_gone_is_unavailable_and_works_again_when_it_is_back() {
    let (service, _) = fake();
    let key = service.create_key(tenant(1)).await.unwrap();
    service.set_outage(true);
    let error = service.describe(&key).await.unwrap_err();
    assert!(error.is_retryable() && matches!(error, KeyError::Unavailable(_)));
    service.set_outage(false);
    assert!(service.describe(&key).await.is_ok());
}
