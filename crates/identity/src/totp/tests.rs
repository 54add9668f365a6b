use super::*;

/// The secret of RFC 6238 appendix B for SHA-1.
const RFC: [u8; 20] = *b"12345678901234567890";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

#[test]
fn the_vectors_of_rfc_6238_appendix_b_verify() {
    let secret = TotpSecret::from_bytes(RFC);
    // Eight digits in the RFC; ours are the last six of them.
    for (seconds, eight) in [
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ] {
        assert_eq!(code_at(&secret, at(seconds)), eight[2..]);
        assert_eq!(verify(&secret, &eight[2..], at(seconds), None), Ok(Step(seconds / 30)));
    }
}

#[test]
fn i2_a_drift_of_one_step_is_accepted_and_of_two_is_not() {
    let secret = TotpSecret::from_bytes(RFC);
    let now = 1_700_000_010; // a multiple of 30
    let code = code_at(&secret, at(now));
    for (seconds, good) in
        [(-31, false), (-30, true), (-1, true), (0, true), (29, true), (59, true), (60, false)]
    {
        let verdict = verify(&secret, &code, at(now + seconds), None);
        assert_eq!(verdict, if good { Ok(Step(now / 30)) } else { Err(TotpError::Wrong) }, "{seconds}");
    }
}

#[test]
fn bar_i2_asvs_6_5_1_a_step_is_used_once() {
    let secret = TotpSecret::from_bytes(RFC);
    let now = at(1_700_000_010);
    let code = code_at(&secret, now);
    let step = verify(&secret, &code, now, None).unwrap();
    assert_eq!(verify(&secret, &code, now, Some(Step(step.0 - 1))), Ok(step));
    assert_eq!(verify(&secret, &code, now, Some(step)), Err(TotpError::AlreadyUsed));
    let earlier = code_at(&secret, at(1_700_000_010 - 30));
    assert_eq!(verify(&secret, &earlier, now, None), Ok(Step(step.0 - 1)));
    assert_eq!(verify(&secret, &earlier, now, Some(step)), Err(TotpError::AlreadyUsed));
    assert_eq!(TotpError::AlreadyUsed.to_string(), TotpError::Wrong.to_string());
}

#[test]
fn what_is_not_six_digits_is_no_code() {
    let secret = TotpSecret::from_bytes(RFC);
    let now = at(59);
    assert_eq!(verify(&secret, " 287 082 ", now, None), Ok(Step(1)));
    for bad in
        ["", "28708", "2870820", "28708a", "-87082", "+87082", "２８７０８２", "287\u{0}82", &" ".repeat(99)]
    {
        assert_eq!(verify(&secret, bad, now, None), Err(TotpError::Malformed), "{bad:?}");
    }
    for wrong in ["287083", "000000", "999999"] {
        assert_eq!(verify(&secret, wrong, now, None), Err(TotpError::Wrong));
    }
}

#[test]
fn the_enrolment_address_carries_brand_and_account_and_reads_back() {
    let secret = TotpSecret::from_bytes(RFC);
    let url = provisioning_url(&secret, "Bright: Clinic", "dr.who@bright.example").unwrap();
    assert!(url.starts_with("otpauth://totp/"), "{}", *url);
    let read = Totp::from_url(url.as_str()).unwrap();
    assert_eq!(read.issuer(), Some("Bright  Clinic"));
    assert_eq!(read.account_name(), "dr.who@bright.example");
    assert_eq!(read.generate(59).to_string(), "287082");
    assert!(url.contains(secret.to_base32().as_str()));
    assert_eq!(provisioning_url(&secret, "", "x").err(), Some(TotpError::Unshowable));
    assert_eq!(provisioning_url(&secret, "Clinic", ":").err(), Some(TotpError::Unshowable));
}

#[test]
fn the_qr_code_fits_a_page_and_a_terminal() {
    let url =
        provisioning_url(&TotpSecret::from_bytes(RFC), "Bright Clinic", "dr.who@bright.example").unwrap();
    let svg = qr_svg(&url).unwrap();
    assert!(svg.starts_with("<svg"), "{svg:.60}");
    assert!(!svg.contains("<script") && !svg.contains(secret_text()));
    let text = qr_terminal(&url).unwrap();
    assert!(text.lines().count() > 15 && text.lines().count() < 40);
    assert_eq!(qr_svg(&"x".repeat(9_000)).err(), Some(TotpError::Unshowable));
}

fn secret_text() -> &'static str {
    "GEZDGNBVGY3TQOJQ"
}
