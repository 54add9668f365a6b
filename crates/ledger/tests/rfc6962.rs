//! The tree is RFC 6962's: published vectors, and a naive implementation of the RFC's text as the reference.
#![allow(missing_docs, clippy::expect_used, clippy::allow_attributes, reason = "tests")]

mod common;

use carekeep_ledger::{
    Checkpoint, Frontier, FrontierError, LeafHash, RootHash, leaf_hash,
    proof::{Grown, ProofError, consistency, inclusion, verify_consistency, verify_inclusion},
};
use common::{START, leaves, naive_path, naive_subproof, root};
use data_encoding::HEXLOWER;
use proptest::prelude::*;

/// Inputs and roots of the Certificate Transparency reference tests (merkle_tree_test in google/certificate-transparency,
/// also transparency-dev/merkle testonly), sizes 0 to 8.
const INPUTS: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn ct_leaves() -> Vec<LeafHash> {
    INPUTS.iter().map(|input| leaf_hash(&HEXLOWER.decode(input.as_bytes()).expect("hex"))).collect()
}

#[test]
fn roots_are_those_of_the_certificate_transparency_vectors() {
    let mut frontier = Frontier::empty();
    assert_eq!(HEXLOWER.encode(frontier.root().as_bytes()), ROOTS[0]);
    for (leaf, expected) in ct_leaves().into_iter().zip(&ROOTS[1..]) {
        frontier.push(leaf);
        assert_eq!(HEXLOWER.encode(frontier.root().as_bytes()), *expected, "size {}", frontier.size());
    }
}

#[test]
fn proofs_are_those_of_the_certificate_transparency_vectors() {
    let hex = |proof: Vec<[u8; 32]>| proof.iter().map(|hash| HEXLOWER.encode(hash)).collect::<Vec<_>>();
    let leaves = ct_leaves();
    assert_eq!(
        hex(inclusion(&leaves, 5, 8).expect("in range")),
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
    assert_eq!(
        hex(consistency(&leaves, 6, 8).expect("growth")),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
    );
}

#[test]
fn the_frontier_gives_the_naive_root_at_every_size_up_to_300_and_survives_storage() {
    let leaves = leaves(300);
    let mut frontier = Frontier::empty();
    for n in 0..=300 {
        assert_eq!(frontier.root(), root(&leaves[..n]), "size {n}");
        assert_eq!(Frontier::from_bytes(&frontier.to_bytes()).as_ref(), Ok(&frontier), "size {n}");
        leaves.get(n).into_iter().for_each(|leaf| frontier.push(*leaf));
    }
}

#[test]
fn a_damaged_or_unsigned_frontier_is_refused() {
    let mut frontier = Frontier::empty();
    frontier.extend(leaves(11));
    let bytes = frontier.to_bytes();
    let tenant = "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e".parse().expect("id");
    let signed = Checkpoint::new(tenant, 11, frontier.root(), START);
    assert_eq!(Frontier::resume(&bytes, &signed).as_ref(), Ok(&frontier), "control");
    for length in 0..bytes.len() {
        assert!(Frontier::from_bytes(&bytes[..length]).is_err(), "cut to {length}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(Frontier::resume(&changed, &signed).is_err(), "changed at {at}");
    }
    let later = Checkpoint { size: 12, ..signed };
    assert_eq!(Frontier::resume(&bytes, &later), Err(FrontierError::NotSigned(12)));
}

#[test]
fn every_proof_up_to_40_leaves_is_the_rfcs_and_verifies() {
    let all = leaves(40);
    for n in 1..=40_usize {
        let (tree, size) = (&all[..n], n as u64);
        for (m, leaf) in tree.iter().enumerate() {
            let proof = inclusion(tree, m as u64, size).expect("in range");
            assert_eq!(proof, naive_path(m, tree), "inclusion {m} in {n}");
            assert_eq!(verify_inclusion(*leaf, m as u64, size, &proof, root(tree)), Ok(()));
        }
        for m in 1..=n {
            let proof = consistency(tree, m as u64, size).expect("growth");
            assert_eq!(proof, naive_subproof(m, tree, true), "consistency {m} to {n}");
            let (old, new) = ((m as u64, root(&tree[..m])), (size, root(tree)));
            assert_eq!(verify_consistency(old, new, &proof), Ok(()), "consistency {m} to {n}");
            let mut frontier = Frontier::empty();
            frontier.extend(tree[..m].iter().copied());
            let grown = Grown { old: &frontier, since: &tree[m..] };
            assert_eq!(consistency(&grown, m as u64, size).expect("frontier suffices"), proof);
        }
    }
}

#[test]
fn impossible_questions_are_refused() {
    let all = leaves(8);
    let empty = root(&[]);
    assert_eq!(inclusion(&all, 8, 8), Err(ProofError::NoSuchLeaf { index: 8, size: 8 }));
    assert_eq!(inclusion(&all, 3, 9), Err(ProofError::Missing { start: 8, end: 9 }));
    assert_eq!(consistency(&all, 9, 8), Err(ProofError::Shrinks { old: 9, new: 8 }));
    let wrong = Err(ProofError::Wrong);
    assert_eq!(verify_consistency((0, empty), (8, root(&all)), &[]), Ok(()), "control");
    assert_eq!(verify_consistency((0, empty), (0, empty), &[]), Ok(()), "control");
    assert_eq!(verify_consistency((0, root(&all)), (8, root(&all)), &[]), wrong);
    assert_eq!(verify_consistency((0, empty), (8, root(&all)), &[[0; 32]]), wrong);
    assert_eq!(
        verify_consistency((0, root(&all)), (0, root(&all)), &[]),
        wrong,
        "a tree of nothing has one root"
    );
    assert_eq!(verify_consistency((8, root(&all)), (8, root(&all[..7])), &[]), wrong);
    assert_eq!(
        verify_inclusion(all[0], 8, 8, &[], root(&all)),
        Err(ProofError::NoSuchLeaf { index: 8, size: 8 })
    );
}

#[test]
fn a_proof_in_a_million_entries_has_at_most_20_hashes() {
    struct Nothing;
    impl carekeep_ledger::proof::Subtrees for Nothing {
        fn subtree(&self, _: u64, _: u64) -> Option<[u8; 32]> {
            Some([0; 32])
        }
    }
    for index in [0, 1, 499_999, 524_288, 999_999] {
        let proof = inclusion(&Nothing, index, 1_000_000).expect("in range");
        assert!(proof.len() <= 20, "bar A4: {} hashes", proof.len());
    }
}

proptest! {
    #[test]
    fn inclusion_holds_for_its_leaf_place_and_root_only(n in 1_usize..200, at in any::<prop::sample::Index>(), bit in 0_usize..256) {
        let all = leaves(n);
        let (m, size) = (at.index(n), n as u64);
        let proof = inclusion(&all, m as u64, size).expect("in range");
        prop_assert_eq!(&proof, &naive_path(m, &all));
        let good = root(&all);
        prop_assert_eq!(verify_inclusion(all[m], m as u64, size, &proof, good), Ok(()));
        let mut bad_root = *good.as_bytes();
        bad_root[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify_inclusion(all[m], m as u64, size, &proof, RootHash::from_bytes(bad_root)).is_err());
        prop_assert!(verify_inclusion(leaf_hash(b"another"), m as u64, size, &proof, good).is_err());
        for other in (0..n).filter(|other| *other != m) {
            prop_assert!(verify_inclusion(all[m], other as u64, size, &proof, good).is_err());
        }
        let mut longer = proof.clone();
        longer.push([7; 32]);
        prop_assert!(verify_inclusion(all[m], m as u64, size, &longer, good).is_err());
        if let Some((_, shorter)) = proof.split_last() {
            prop_assert!(verify_inclusion(all[m], m as u64, size, shorter, good).is_err());
        }
        for i in 0..proof.len() {
            let mut changed = proof.clone();
            changed[i][bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify_inclusion(all[m], m as u64, size, &changed, good).is_err());
        }
    }

    #[test]
    fn consistency_holds_for_growth_only(n in 2_usize..200, at in any::<prop::sample::Index>(), bit in 0_usize..256) {
        let all = leaves(n);
        let m = 1 + at.index(n - 1);
        let proof = consistency(&all, m as u64, n as u64).expect("growth");
        prop_assert_eq!(&proof, &naive_subproof(m, &all, true));
        let (old, new) = ((m as u64, root(&all[..m])), (n as u64, root(&all)));
        prop_assert_eq!(verify_consistency(old, new, &proof), Ok(()));
        let mut forked = all.clone();
        forked[bit % m] = leaf_hash(b"rewritten");
        let fork = (n as u64, root(&forked));
        let fork_proof = consistency(&forked, m as u64, n as u64).expect("growth of the fork");
        prop_assert!(verify_consistency(old, fork, &fork_proof).is_err());
        prop_assert!(verify_consistency(old, fork, &proof).is_err());
        let mut longer = proof.clone();
        longer.push([7; 32]);
        prop_assert!(verify_consistency(old, new, &longer).is_err());
        for i in 0..proof.len() {
            let mut changed = proof.clone();
            changed[i][bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify_consistency(old, new, &changed).is_err());
            let mut shorter = proof.clone();
            shorter.remove(i);
            prop_assert!(verify_consistency(old, new, &shorter).is_err());
        }
    }
}
