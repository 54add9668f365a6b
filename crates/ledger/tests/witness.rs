//! The witness cosigns growth and nothing else (C2SP tlog-witness).
#![allow(missing_docs, clippy::expect_used, clippy::allow_attributes, reason = "tests")]

mod common;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use carekeep_kernel::TenantId;
use carekeep_ledger::{
    Checkpoint, Cosigner, Ed25519Signer, LeafHash, NoteSigner, SignedCheckpoint, VerifierSet, leaf_hash,
    origin_of,
    proof::consistency,
    witness::{AddCheckpoint, Refusal, Tree, WitnessState},
};
use common::{START, leaves, root};
use proptest::prelude::*;

fn tenant() -> TenantId {
    "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e".parse().expect("id")
}

fn signer() -> Ed25519Signer {
    Ed25519Signer::from_seed(&origin_of(tenant()), &[5; 32]).expect("name")
}

fn cosigner() -> Cosigner {
    Cosigner::from_seed("witness.example/w1", &[6; 32]).expect("name")
}

fn witness() -> WitnessState {
    let mut witness = WitnessState::new();
    witness.trust(&origin_of(tenant()), &VerifierSet::new([signer().verifier().clone()]), None);
    witness
}

fn signed(tree: &[LeafHash], by: &dyn NoteSigner) -> SignedCheckpoint {
    Checkpoint::new(tenant(), tree.len() as u64, root(tree), START).sign(by).expect("own key")
}

fn request(tree: &[LeafHash], old: usize) -> AddCheckpoint {
    let proof = consistency(tree, old as u64, tree.len() as u64).unwrap_or_default();
    AddCheckpoint { old_size: old as u64, proof, checkpoint: signed(tree, &signer()) }
}

fn grow(witness: &mut WitnessState, tree: &[LeafHash], old: usize) -> Result<Tree, Refusal> {
    witness.update(&request(tree, old), &cosigner(), START).map(|cosigned| cosigned.tree)
}

#[test]
fn growth_is_cosigned_and_the_cosignature_verifies() {
    let (all, mut witness) = (leaves(20), witness());
    let mut checkpoint = request(&all[..7], 0).checkpoint;
    let cosigned = witness.update(&request(&all[..7], 0), &cosigner(), START).expect("growth");
    checkpoint.add_signature(cosigned.signature);
    let witnesses = VerifierSet::new([cosigner().verifier().clone()]);
    let again = SignedCheckpoint::parse(&checkpoint.to_string()).expect("own text");
    assert_eq!(again.cosigners(&witnesses), Ok(1));
    assert!(
        again.verify(&VerifierSet::new([signer().verifier().clone()])).is_ok(),
        "the log's own still counts"
    );
    for (old, new) in [(7, 8), (8, 8), (8, 16), (16, 19), (19, 20), (20, 20)] {
        assert_eq!(
            grow(&mut witness, &all[..new], old).map(|tree| tree.size),
            Ok(new as u64),
            "{old} to {new}"
        );
    }
    assert_eq!(witness.latest(&origin_of(tenant())), Some(Tree { size: 20, root: root(&all) }));
}

/// The message is put together here from C2SP tlog-cosignature, and checked without our own code.
#[test]
fn the_cosigned_message_is_that_of_c2sp() {
    let request = request(&leaves(7), 0);
    let signature = witness().update(&request, &cosigner(), START).expect("growth").signature;
    assert_eq!(signature.bytes[..8], 1_790_000_000_u64.to_be_bytes(), "seconds, big endian");
    let text = request.checkpoint.to_string();
    let body = &text[..=text.rfind("\n\n").expect("a note")];
    let message = format!("cosignature/v1\ntime 1790000000\n{body}");
    let pair = Ed25519KeyPair::from_seed_unchecked(&[6; 32]).expect("a seed");
    let public = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref());
    assert!(public.verify(message.as_bytes(), &signature.bytes[8..]).is_ok());
    let line = signature.to_string();
    assert!(line.starts_with("\u{2014} witness.example/w1 "), "{line}");
}

#[test]
fn a_cosignature_does_not_stand_in_for_the_logs_own() {
    let all = leaves(3);
    let mut checkpoint = request(&all, 0).checkpoint;
    let cosigned = witness().update(&request(&all, 0), &cosigner(), START).expect("growth");
    checkpoint.add_signature(cosigned.signature);
    let only_witness = VerifierSet::new([cosigner().verifier().clone()]);
    assert!(checkpoint.verify(&only_witness).is_err());
    // A cosigner's key that bears the log's name is still no log key.
    let posing = Cosigner::from_seed(&origin_of(tenant()), &[6; 32]).expect("name");
    let mut state = witness();
    let posed = state.update(&request(&all, 0), &posing, START).expect("growth");
    checkpoint.add_signature(posed.signature);
    assert!(checkpoint.verify(&VerifierSet::new([posing.verifier().clone()])).is_err());
}

#[test]
fn a_rollback_is_refused_with_409_and_the_size() {
    let (all, mut witness) = (leaves(20), witness());
    grow(&mut witness, &all, 0).expect("growth");
    for size in [0, 1, 7, 16, 19] {
        for old in [0, size] {
            let refusal = grow(&mut witness, &all[..size], old).expect_err("rollback");
            assert_eq!(refusal, Refusal::Conflict { latest: 20 });
            assert_eq!((refusal.status(), refusal.body()), (409, ("text/x.tlog.size", "20\n".to_owned())));
        }
        let refusal = grow(&mut witness, &all[..size], 20).expect_err("old larger than new");
        assert_eq!(refusal.status(), 400);
    }
    assert_eq!(grow(&mut witness, &all, 20).map(|tree| tree.size), Ok(20), "control: nothing was forgotten");
}

#[test]
fn an_old_size_that_is_not_the_cosigned_one_gets_409_whatever_the_proof() {
    let (all, mut witness) = (leaves(20), witness());
    grow(&mut witness, &all[..10], 0).expect("growth");
    for old in [0, 1, 9, 11, 15, 20] {
        assert_eq!(grow(&mut witness, &all, old), Err(Refusal::Conflict { latest: 10 }), "old {old}");
        let mut right_proof = request(&all, 10);
        right_proof.old_size = old as u64;
        let answer = witness.update(&right_proof, &cosigner(), START);
        assert_eq!(answer, Err(Refusal::Conflict { latest: 10 }), "old {old}");
    }
    assert_eq!(grow(&mut witness, &all, 10).map(|tree| tree.size), Ok(20), "control");
}

#[test]
fn a_fork_is_refused_with_409_or_422() {
    let (all, mut witness) = (leaves(20), witness());
    grow(&mut witness, &all[..10], 0).expect("growth");
    let mut fork = all.clone();
    fork[9] = leaf_hash(b"rewritten");
    assert_eq!(grow(&mut witness, &fork[..10], 10), Err(Refusal::Fork { size: 10 }));
    assert_eq!(Refusal::Fork { size: 10 }.status(), 409);
    let refusal = grow(&mut witness, &fork, 10).expect_err("fork");
    assert_eq!((refusal.status(), refusal), (422, Refusal::Inconsistent { latest: 10 }));
    let mut no_proof = request(&all, 10);
    no_proof.proof.clear();
    assert_eq!(witness.update(&no_proof, &cosigner(), START).expect_err("no proof").status(), 422);
    assert_eq!(
        grow(&mut witness, &all, 10).map(|tree| tree.size),
        Ok(20),
        "control: refusals changed nothing"
    );
}

#[test]
fn a_proof_from_nothing_must_be_empty() {
    let all = leaves(4);
    let mut padded = request(&all, 0);
    padded.proof.push([0; 32]);
    assert_eq!(witness().update(&padded, &cosigner(), START).expect_err("padded").status(), 422);
    assert!(witness().update(&request(&all, 0), &cosigner(), START).is_ok(), "control");
    assert!(witness().update(&request(&[], 0), &cosigner(), START).is_ok(), "an empty log is a log");
    let empty_but_not = Checkpoint::new(tenant(), 0, root(&all), START).sign(&signer()).expect("own key");
    let lie = AddCheckpoint { old_size: 0, proof: Vec::new(), checkpoint: empty_but_not };
    assert_eq!(witness().update(&lie, &cosigner(), START).expect_err("no such root").status(), 409);
}

#[test]
fn unknown_logs_get_404_and_foreign_keys_403() {
    let all = leaves(4);
    let refusal = WitnessState::new().update(&request(&all, 0), &cosigner(), START).expect_err("unknown");
    assert_eq!(refusal.status(), 404);
    let thief = Ed25519Signer::from_seed(&origin_of(tenant()), &[66; 32]).expect("name");
    let forged = AddCheckpoint { checkpoint: signed(&all, &thief), ..request(&all, 0) };
    assert_eq!(witness().update(&forged, &cosigner(), START), Err(Refusal::Forbidden));
}

#[test]
fn adding_a_log_again_forgets_nothing() {
    let (all, mut witness) = (leaves(20), witness());
    grow(&mut witness, &all, 0).expect("growth");
    let (origin, keys) = (origin_of(tenant()), VerifierSet::new([signer().verifier().clone()]));
    witness.trust(&origin, &keys, None);
    witness.trust(&origin, &keys, Some(Tree { size: 3, root: root(&all[..3]) }));
    assert_eq!(witness.latest(&origin).map(|tree| tree.size), Some(20));
    let mut restarted = WitnessState::new();
    restarted.trust(&origin, &keys, witness.latest(&origin));
    assert_eq!(restarted.latest(&origin), witness.latest(&origin));
    assert_eq!(grow(&mut restarted, &all[..19], 0), Err(Refusal::Conflict { latest: 20 }));
}

#[test]
fn the_request_body_is_that_of_c2sp() {
    let request = request(&leaves(13), 6);
    let body = request.to_body();
    assert!(body.starts_with("old 6\n") && body.contains("=\n\ncarekeep/"), "{body}");
    assert_eq!(AddCheckpoint::parse(&body), Ok(request));
    let first = AddCheckpoint::parse(&common_first()).expect("no proof lines");
    assert_eq!(first.to_body(), common_first());
    for bad in [
        String::new(),
        body.replace("old 6", "old 06"),
        body.replace("old 6", "old -6"),
        body.replace("old 6", "new 6"),
        body.replacen("=\n", "\n", 1),
        body.replacen(
            "old 6\n",
            &format!("old 6\n{}", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n".repeat(64)),
            1,
        ),
        body.replace("\n\n", "\n"),
    ] {
        assert_eq!(AddCheckpoint::parse(&bad).expect_err("malformed").status(), 400, "{bad}");
    }
}

fn common_first() -> String {
    request(&leaves(13), 0).to_body()
}

proptest! {
    /// Whatever is asked, in whatever order: what was cosigned is one growing log.
    #[test]
    fn cosigned_trees_are_always_one_growing_log(steps in prop::collection::vec((0_usize..30, 0_usize..30, any::<bool>()), 1..40)) {
        let honest = leaves(30);
        let mut forked = honest.clone();
        forked[12] = leaf_hash(b"rewritten");
        let mut witness = witness();
        let mut cosigned: Vec<(usize, bool)> = Vec::new();
        for (size, old, fork) in steps {
            let branch = if fork { &forked } else { &honest };
            if grow(&mut witness, &branch[..size], old).is_ok() {
                cosigned.push((size, fork && size > 12));
            }
        }
        prop_assert!(cosigned.windows(2).all(|pair| pair[0].0 <= pair[1].0), "never shrinks");
        let beyond: Vec<bool> = cosigned.iter().filter(|(size, _)| *size > 12).map(|(_, fork)| *fork).collect();
        prop_assert!(beyond.windows(2).all(|pair| pair[0] == pair[1]), "never changes branch");
    }
}
