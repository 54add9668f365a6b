//! Signed notes and checkpoints: published vectors, and refusal of everything that is not exactly one.
#![allow(missing_docs, clippy::expect_used, clippy::allow_attributes, reason = "tests")]

mod common;

use carekeep_kernel::{TenantId, Timestamp};
use carekeep_ledger::{
    Checkpoint, CheckpointError, Cosigner, Ed25519Signer, Ed25519Verifier, KeyKind, NoteError, NoteSigner,
    SignedCheckpoint, SignedNote, VerifierSet, note::NoteSignature, origin_of, tenant_of,
};
use common::{START, leaves, root};
use data_encoding::BASE64;

/// Key, text and signature of Go's `golang.org/x/mod/sumdb/note`, the origin of the format.
const GO_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const GO_SEED: &str = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const GO_TEXT: &str = "If you think cryptography is the answer to your problem,\n\
                       then you don't know what your problem is.\n";
const GO_LINE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";
/// The public key of the Go checksum database.
const SUMDB_VKEY: &str = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
/// The example of C2SP signed-note.
const C2SP_NOTE: &str = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\
     \u{2014} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
/// The example of C2SP tlog-cosignature.
const C2SP_COSIGNED: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
     \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
     \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

fn tenant() -> TenantId {
    "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e".parse().expect("id")
}

fn go_signer() -> Ed25519Signer {
    let seed = BASE64.decode(GO_SEED.as_bytes()).expect("base 64");
    Ed25519Signer::from_seed("PeterNeumann", seed[1..].try_into().expect("32 bytes")).expect("name")
}

fn set(key: &Ed25519Verifier) -> VerifierSet {
    VerifierSet::new([key.clone()])
}

#[test]
fn the_go_vector_is_signed_and_verified() {
    let signer = go_signer();
    assert_eq!(signer.verifier().to_string(), GO_VKEY);
    let note = SignedNote::sign(GO_TEXT.to_owned(), &signer).expect("signs");
    assert_eq!(note.to_string(), format!("{GO_TEXT}\n{GO_LINE}\n"));
    let parsed = SignedNote::parse(&note.to_string()).expect("a note");
    let trusted = set(&Ed25519Verifier::parse(GO_VKEY).expect("a key"));
    assert_eq!(parsed.verify(&trusted).expect("signed").len(), 1);
}

#[test]
fn published_verifier_keys_parse_and_print() {
    for vkey in [GO_VKEY, SUMDB_VKEY] {
        let key = Ed25519Verifier::parse(vkey).expect("a published key");
        assert_eq!((key.kind(), key.to_string().as_str()), (KeyKind::Log, vkey));
    }
    let witness = Cosigner::from_seed("witness.example/w1", &[1; 32]).expect("name");
    let parsed = Ed25519Verifier::parse(&witness.verifier().to_string()).expect("own key");
    assert_eq!((parsed.kind(), &parsed), (KeyKind::Cosignature, witness.verifier()));
}

#[test]
fn c2sp_examples_are_taken_apart_and_put_together_again() {
    let note = SignedNote::parse(C2SP_NOTE).expect("the example");
    assert!(note.text().ends_with("sole:\n\ned è subito sera.\n"), "a text may hold blank lines");
    assert_eq!(note.signatures()[0].name, "quasimodo.example/salvatore");
    assert_eq!(note.signatures()[0].key_id, 0x367b_a04b);
    assert_eq!(note.to_string(), C2SP_NOTE);
    let cosigned = SignedNote::parse(C2SP_COSIGNED).expect("the example");
    assert_eq!(
        cosigned.signatures()[1].bytes[..8],
        1_679_315_147_u64.to_be_bytes(),
        "as the specification says"
    );
    assert_eq!(cosigned.to_string(), C2SP_COSIGNED);
}

#[test]
fn bad_verifier_keys_are_refused() {
    let good = GO_VKEY;
    for bad in [
        String::new(),
        "PeterNeumann".to_owned(),
        good.replace("c74f20a3", "c74f20a4"),
        good.replace("c74f20a3", "C74F20A3"),
        good.replace("PeterNeumann", "PeterNeuman"),
        good.replace("PeterNeumann", "Peter Neumann"),
        good.replace("ARpc", "ARpd"),
        good.replace("ARpc", "AhpC"),
        good[..good.len() - 4].to_owned(),
        format!("{good}AAAA"),
        good.replace("10TW", "10T"),
    ] {
        assert!(Ed25519Verifier::parse(&bad).is_err(), "{bad}");
    }
    for name in ["", "a b", "a+b", "a\nb", "a\u{a0}b"] {
        assert!(Ed25519Signer::from_seed(name, &[1; 32]).is_err(), "{name:?}");
    }
}

#[test]
fn malformed_notes_are_refused() {
    let good = format!("{GO_TEXT}\n{GO_LINE}\n");
    assert!(SignedNote::parse(&good).is_ok(), "control");
    for bad in [
        String::new(),
        "\n\n".to_owned(),
        GO_TEXT.to_owned(),
        format!("{GO_TEXT}\n"),
        good.trim_end().to_owned(),
        format!("{good}\n"),
        good.replace('\u{2014}', "-"),
        good.replace("\u{2014} Peter", "\u{2014}  Peter"),
        good.replace("PeterNeumann x", "PeterNeumann  x"),
        good.replace("nAM=", "nAN="),
        good.replace("nAM=", "nAM"),
        good.replace("problem,", "problem,\r"),
        format!("{GO_TEXT}\n\u{2014} PeterNeumann x08gow==\n").replace("x08gow==", "x08goQ="),
        format!("{GO_TEXT}\n\u{2014} PeterNeumann x08gow==\n"),
        format!("{GO_TEXT}\n{}", format!("{GO_LINE}\n").repeat(65)),
        format!("{}\n{GO_LINE}\n", "x\n".repeat(40_000)),
    ] {
        assert!(SignedNote::parse(&bad).is_err(), "{bad:?}");
    }
}

#[test]
fn unknown_keys_are_ignored_and_bad_signatures_by_known_ones_are_not() {
    let (own, foreign) = (go_signer(), Ed25519Signer::from_seed("PeterNeumann", &[3; 32]).expect("name"));
    let mut note = SignedNote::sign(GO_TEXT.to_owned(), &own).expect("signs");
    note.add_signature(foreign.sign_note("another text\n").expect("signs"));
    assert_eq!(note.verify(&set(own.verifier())).expect("unknown key ignored").len(), 1);
    assert_eq!(note.verify(&set(foreign.verifier())), Err(NoteError::BadSignature("PeterNeumann".into())));
    let both = VerifierSet::new([own.verifier().clone(), foreign.verifier().clone()]);
    assert!(note.verify(&both).is_err(), "one bad signature by a known key refuses the note");
    assert_eq!(note.verify(&VerifierSet::default()), Err(NoteError::Untrusted));
    let changed = SignedNote::parse(&note.to_string().replace("answer", "answex")).expect("a note");
    assert!(matches!(changed.verify(&set(own.verifier())), Err(NoteError::BadSignature(_))));
}

fn checkpoint() -> (Checkpoint, Ed25519Signer) {
    let signer = Ed25519Signer::from_seed(&origin_of(tenant()), &[5; 32]).expect("name");
    (Checkpoint::new(tenant(), 42, root(&leaves(42)), START), signer)
}

#[test]
fn a_checkpoint_says_origin_size_root_and_time() {
    let (checkpoint, signer) = checkpoint();
    let text = checkpoint.sign(&signer).expect("own key").to_string();
    let expected = format!("carekeep/{}\n42\n{}\nat 1790000000000000\n\n", tenant(), checkpoint.root);
    assert!(text.starts_with(&expected), "{text}");
    let parsed = SignedCheckpoint::parse(&text).expect("own text");
    assert_eq!(parsed.verify(&set(signer.verifier())), Ok(&checkpoint));
    assert_eq!(tenant_of(&checkpoint.origin), Some(tenant()));
    assert_eq!(tenant_of("example.com/behind-the-sofa"), None);
}

#[test]
fn a_checkpoint_counts_only_under_a_key_of_its_own_origin() {
    let (checkpoint, signer) = checkpoint();
    let stranger = Ed25519Signer::from_seed("carekeep/another", &[5; 32]).expect("name");
    assert!(matches!(checkpoint.sign(&stranger), Err(CheckpointError::WrongKey { .. })));
    // The same key bytes under another name, put under the text by hand.
    let text = checkpoint.sign(&signer).expect("own key").note().text().to_owned();
    let note = SignedNote::sign(text, &stranger).expect("signs any text").to_string();
    let parsed = SignedCheckpoint::parse(&note).expect("well formed");
    assert_eq!(parsed.verify(&set(stranger.verifier())), Err(NoteError::Untrusted.into()));
    let both = VerifierSet::new([signer.verifier().clone(), stranger.verifier().clone()]);
    assert_eq!(parsed.verify(&both), Err(NoteError::Untrusted.into()));
}

#[test]
fn only_the_canonical_text_is_a_checkpoint() {
    let (checkpoint, signer) = checkpoint();
    let good = checkpoint.sign(&signer).expect("own key").note().text().to_owned();
    let parse = |text: String| {
        SignedCheckpoint::parse(&SignedNote::sign(text, &signer).expect("signs any text").to_string())
    };
    assert!(parse(good.clone()).is_ok(), "control");
    for bad in [
        good.replace("\n42\n", "\n042\n"),
        good.replace("\n42\n", "\n+42\n"),
        good.replace("\n42\n", "\n-42\n"),
        good.replace("\n42\n", "\n18446744073709551616\n"),
        good.replace("\nat ", "\nat +"),
        good.replace("\nat ", "\nat 0"),
        good.replace("\nat ", "\nAt "),
        good.replace("=\n", "\n"),
        format!("{good}more\n"),
        "carekeep/x\n1\n".to_owned(),
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n".to_owned(),
    ] {
        assert!(parse(bad.clone()).is_err(), "{bad:?}");
    }
}

#[test]
fn a_time_before_1970_is_carried_too() {
    let (mut checkpoint, signer) = checkpoint();
    checkpoint.at = Timestamp::from_micros(-5);
    let text = checkpoint.sign(&signer).expect("own key").to_string();
    assert_eq!(SignedCheckpoint::parse(&text).expect("own text").claimed(), &checkpoint);
}

#[test]
fn a_signature_line_prints_as_it_was_read() {
    let signature = NoteSignature::parse_line(GO_LINE).expect("a line");
    assert_eq!(signature.to_string(), GO_LINE);
}
