use super::*;

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const EMPTY_512: &str = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
                         47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";

#[test]
fn known_digests_are_computed() {
    assert_eq!(Digest::of(Algorithm::Sha256, b"").to_string(), EMPTY);
    assert_eq!(Digest::of(Algorithm::Sha512, b"").to_string(), EMPTY_512);
}

#[test]
fn display_is_the_inverse_of_parsing() {
    for text in [EMPTY, EMPTY_512] {
        assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
    }
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        assert_eq!(
            algorithm.to_string().parse::<Algorithm>().unwrap(),
            algorithm
        );
    }
}

#[test]
fn the_parts_are_those_of_the_wire_form() {
    let digest: Digest = EMPTY_512.parse().unwrap();
    assert_eq!(digest.algorithm(), Algorithm::Sha512);
    assert_eq!(format!("sha512:{}", digest.hex()), EMPTY_512);
    assert_eq!(digest.as_bytes().len(), 64);
    assert_eq!(digest.hex().len(), Algorithm::Sha512.hex_len());
    assert_eq!(
        Digest::from_parts(digest.algorithm(), digest.as_bytes()).unwrap(),
        digest
    );
}

#[test]
fn parts_of_a_wrong_length_are_refused() {
    for len in [0, 31, 33, 64] {
        assert!(
            Digest::from_parts(Algorithm::Sha256, &vec![0; len]).is_err(),
            "{len}"
        );
    }
    assert!(Digest::from_parts(Algorithm::Sha512, &[0; 32]).is_err());
}

#[test]
fn malformed_digests_are_refused() {
    let upper = EMPTY.to_uppercase().replace("SHA", "sha");
    let longer = format!("{EMPTY}0");
    let other = EMPTY.replace("sha256", "sha384");
    let not_hex = EMPTY.replace('e', "g");
    let not_ascii = format!("sha256:{}", "é".repeat(32));
    let cases = [
        "",
        ":",
        "sha256:",
        "sha256",
        &EMPTY[7..],
        &EMPTY[..70],
        &upper,
        &longer,
        &other,
        &not_hex,
        &not_ascii,
    ];
    for text in cases {
        let error = text.parse::<Digest>().unwrap_err();
        assert_eq!(error.word(), Word::Digest, "{text}");
    }
}

#[test]
fn an_error_names_the_algorithm_that_is_not_known() {
    let error = "md5:d41d8cd98f00b204e9800998ecf8427e"
        .parse::<Digest>()
        .unwrap_err();
    assert_eq!(error.problem(), "neither sha256 nor sha512");
    assert_eq!(
        "md5".parse::<Algorithm>().unwrap_err().word(),
        Word::Algorithm
    );
}

#[test]
fn json_holds_the_wire_form() {
    let digest: Digest = EMPTY.parse().unwrap();
    let json = serde_json::to_string(&digest).unwrap();
    assert_eq!(json, format!("\"{EMPTY}\""));
    assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
    assert!(serde_json::from_str::<Digest>("\"sha256:00\"").is_err());
}

#[test]
fn order_is_by_algorithm_and_then_by_value() {
    let low = Digest::from_parts(Algorithm::Sha256, &[0; 32]).unwrap();
    let high = Digest::from_parts(Algorithm::Sha256, &[255; 32]).unwrap();
    let longer = Digest::from_parts(Algorithm::Sha512, &[0; 64]).unwrap();
    assert!(low < high && high < longer);
}
