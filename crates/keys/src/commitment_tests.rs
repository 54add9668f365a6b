//! Why the envelope commits to its key (BARS K4): AES-GCM alone does not, as the forgery made here shows.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad as GcmAad, LessSafeKey, Nonce, UnboundKey},
    cipher::{AES_256, EncryptingKey, UnboundCipherKey},
};
use carekeep_kernel::{SeededRandom, TenantId, random::bytes};
use zeroize::Zeroizing;

use crate::{Aad, DataKey, EnvelopeError, FORMAT_V1, SALT_LEN, open};

/// AES-256 of one block.
fn aes(key: &[u8; 32], block: u128) -> u128 {
    let key = EncryptingKey::ecb(UnboundCipherKey::new(&AES_256, key).unwrap()).unwrap();
    let mut block = block.to_be_bytes();
    key.encrypt(&mut block).unwrap();
    u128::from_be_bytes(block)
}

/// Multiplication in the field of GHASH (NIST SP 800-38D section 6.3).
fn times(x: u128, y: u128) -> u128 {
    let (mut z, mut v) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            z ^= v;
        }
        v = (v >> 1) ^ if v & 1 == 1 { 0xe1 << 120 } else { 0 };
    }
    z
}

/// x^(2^128 - 2), the inverse of x.
fn inverse(x: u128) -> u128 {
    let (mut result, mut square) = (1 << 127, x);
    for _ in 1..128 {
        square = times(square, square);
        result = times(result, square);
    }
    result
}

fn ghash(h: u128, blocks: &[u128]) -> u128 {
    blocks.iter().fold(0, |sum, block| times(sum ^ block, h))
}

/// One block of ciphertext and a tag that AES-GCM accepts under both keys with the nonce of zeros.
fn valid_under_both(keys: [&[u8; 32]; 2], aad: &[u8]) -> Vec<u8> {
    let mut blocks: Vec<u128> = aad
        .chunks(16)
        .map(|chunk| {
            let mut block = [0; 16];
            block[..chunk.len()].copy_from_slice(chunk);
            u128::from_be_bytes(block)
        })
        .collect();
    let lengths = (u128::try_from(aad.len()).unwrap() * 8) << 64 | 128;
    blocks.extend([0, lengths]);
    let hash_key = keys.map(|key| aes(key, 0));
    let mask = keys.map(|key| aes(key, 1));
    let tag_of_zero = [0, 1].map(|at| ghash(hash_key[at], &blocks) ^ mask[at]);
    // The tag is linear in the ciphertext block, with the factor h^2: solve for the block that makes the tags equal.
    let factor = times(hash_key[0], hash_key[0]) ^ times(hash_key[1], hash_key[1]);
    let block = times(tag_of_zero[0] ^ tag_of_zero[1], inverse(factor));
    let tag = tag_of_zero[0] ^ times(block, times(hash_key[0], hash_key[0]));
    [block.to_be_bytes(), tag.to_be_bytes()].concat()
}

#[test]
fn k4_a_ciphertext_valid_under_two_keys_opens_under_the_committed_one_only() {
    let tenant: TenantId = "018f3c1e-7b1a-7cc0-9d3e-2f0a1b2c3d4e".parse().unwrap();
    let aad = Aad {
        tenant,
        table: "t",
        column: "c",
        row: [1; 16],
        row_version: 1,
        kind: "k",
        patient: Some([2; 16]),
    };
    let aad_bytes = aad.encode(FORMAT_V1, 1).unwrap();
    let keys = [1, 2].map(|seed| DataKey::new(Zeroizing::new(bytes(&SeededRandom::new(seed)))));
    let salt = bytes::<SALT_LEN>(&SeededRandom::new(3));
    let derived = [0, 1].map(|at: usize| keys[at].derive::<64>(b"carekeep/envelope/1", &salt));
    let record_keys = [0, 1].map(|at: usize| derived[at].first_chunk::<32>().unwrap());
    let forged = valid_under_both(record_keys, &aad_bytes);

    for record_key in record_keys {
        let gcm = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, record_key).unwrap());
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        let opened = gcm.open_in_place(nonce, GcmAad::from(&aad_bytes), &mut forged.clone()).is_ok();
        assert!(opened, "control: bare AES-GCM accepts the forgery under this key");
    }
    for committed in [0, 1] {
        let commitment = &derived[committed][32..];
        let envelope = [&[FORMAT_V1, 0, 0, 0, 1], &salt[..], commitment, &forged].concat();
        assert!(open(&keys[committed], &aad, &envelope).is_ok());
        assert_eq!(open(&keys[1 - committed], &aad, &envelope).err(), Some(EnvelopeError::WrongKey));
    }
}
