//! P1, A1: reads that share their round trips are decided and recorded one by one, each for whoever asked.

use std::collections::BTreeMap;

use carekeep_kernel::{PersonId, ResourceId};
use carekeep_ledger::Outcome;
use carekeep_policy::ResourceKind;
use carekeep_testkit::{PersonSpec, Platform};
use carekeep_vault::{AccessError, Planned};

use crate::support::{draft, entries, read, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_reads_that_share_a_trip_are_decided_and_recorded_each_for_its_own_caller() {
    let platform = Platform::start().await;
    let acme = platform.tenant("acme").await;
    let vault = platform.vault().await;
    let mut callers = Vec::new();
    for _ in 0..2 {
        callers.push(platform.person(acme.id, PersonSpec::default()).await.caller(&vault).await.unwrap());
    }
    // Each has a patient of their own.
    let mut charts = Vec::new();
    for (caller, name) in callers.iter().zip(["Ada", "Ben"]) {
        let patient = draft(&platform, ResourceKind::Patient, None, name);
        charts.push(patient.id);
        write(&vault, caller, vec![Planned::Create(patient)]).await.unwrap();
    }
    let absent = ResourceId::generate(&*platform.clock, &*platform.random);
    let first = i64::try_from(entries(&platform, acme.id, 0).await.len()).unwrap();

    const ROUNDS: usize = 25;
    let mut asked = Vec::new();
    let mut expected: BTreeMap<(PersonId, Option<ResourceId>, u8), usize> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for (who, caller) in callers.iter().enumerate() {
            let own = Some((charts[who], Outcome::Permitted));
            let other = Some((charts[1 - who], Outcome::Denied));
            for (kind, id, entry) in [
                (ResourceKind::Patient, charts[who], own),
                (ResourceKind::Patient, charts[1 - who], other),
                (ResourceKind::Patient, absent, None),
                (ResourceKind::Condition, charts[who], None),
            ] {
                asked.push((who, kind, id, entry));
                let (id, outcome) = entry.map_or((None, Outcome::NotFound), |(id, o)| (Some(id), o));
                *expected.entry((caller.person(), id, outcome as u8)).or_default() += 1;
            }
        }
    }
    let reads = asked.iter().map(|(who, kind, id, _)| read(&vault, &callers[*who], *kind, *id));
    let answers = futures_util::future::join_all(reads).await;
    for ((who, _, _, entry), answer) in asked.iter().zip(answers) {
        match entry {
            Some((_, Outcome::Permitted)) => assert_eq!(answer.unwrap(), ["Ada", "Ben"][*who]),
            _ => assert!(matches!(answer, Err(AccessError::Invisible)), "{answer:?}"),
        }
    }
    let mut recorded = BTreeMap::new();
    for entry in entries(&platform, acme.id, first).await {
        let resource = entry.resources.first().map(|reference| reference.id);
        let key = (entry.actor.person.unwrap(), resource, entry.outcome as u8);
        *recorded.entry(key).or_default() += 1;
        assert_eq!(entry.patients.len(), usize::from(resource.is_some()));
    }
    assert_eq!(recorded, expected);
}
