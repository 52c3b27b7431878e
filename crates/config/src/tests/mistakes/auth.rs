//! Credentials, and files named in the configuration.

use proptest::prelude::*;

use super::assert_picture;
use crate::{Config, ConfigError};

#[test]
fn a_missing_password_file_is_refused_at_load() {
    assert_picture(
        r#"
[upstream."docker.io"]
auth = { username = "me", password_file = "/nowhere/hub" }"#,
        r#"
error: `password_file` holds no password
 --> archway.toml:2:43
  |
2 | auth = { username = "me", password_file = "/nowhere/hub" }
  |                                           ^^^^^^^^^^^^^^ cannot read /nowhere/hub: No such file or directory (os error 2)
  |
  = help: put the password and nothing else into the file; a line end is ignored"#,
    );
}

#[test]
fn a_missing_certificate_file_is_refused_at_load() {
    assert_picture(
        r#"
[upstream."docker.io"]
ca_file = "/nowhere/ca.pem""#,
        r#"
error: `ca_file` cannot be read
 --> archway.toml:2:11
  |
2 | ca_file = "/nowhere/ca.pem"
  |           ^^^^^^^^^^^^^^^^^ No such file or directory (os error 2)
  |
  = help: name a file with certificates in PEM form; convert one in DER with: openssl x509 -inform der -in FILE"#,
    );
}

#[test]
fn a_login_has_a_name_and_a_password() {
    assert_picture(
        r#"
[upstream."docker.io"]
auth = { username = "me" }"#,
        r#"
error: `auth` is incomplete
 --> archway.toml:2:8
  |
2 | auth = { username = "me" }
  |        ^^^^^^^^^^^^^^^^^^^ neither a login nor ECR
  |
  = help: write { username = "me", password_file = "/run/secrets/hub" } or { ecr = { region = "eu-west-1" } }"#,
    );
}

#[test]
fn an_unknown_way_to_authenticate_is_refused() {
    assert_picture(
        r#"
[upstream."docker.io"]
auth = "erc""#,
        r"
error: `auth` is not a known way to authenticate
 --> archway.toml:2:8
  |
2 | auth = *****
  |        ^^^^^ not one of the words possible here
  |
  = help: did you mean `ecr`?",
    );
}

#[test]
fn ecr_behind_another_name_needs_its_region() {
    assert_picture(
        r#"
[upstream."registry.example"]
auth = "ecr""#,
        r#"
error: `auth` needs a region, `registry.example` does not name one
 --> archway.toml:2:8
  |
2 | auth = "ecr"
  |        ^^^^^ this is not the name of an ECR registry
  |
  = help: write the region like this: auth = { ecr = { region = "eu-west-1" } }"#,
    );
}

#[test]
fn a_number_is_no_way_to_authenticate() {
    assert_picture(
        r#"
[upstream."registry.example"]
auth = 1"#,
        r#"
error: a word such as "ecr" or a table such as { username = "me", password_file = "..." } is expected here
 --> archway.toml:2:8
  |
2 | auth = 1
  |        ^ found integer `1`"#,
    );
}

#[test]
fn a_password_in_the_file_is_refused_and_not_shown() {
    assert_picture(
        r#"
[upstream."docker.io"]
auth = { username = "me", password = "hunter2" }"#,
        r#"
error: a password must not be in this file
 --> archway.toml:2:38
  |
2 | auth = { username = "me", password = ********* }
  |                                      ^^^^^^^^^ everybody who may read the configuration could read it
  |
  = help: use `password_file`, `password_env` or `password_credential`"#,
    );
}

#[test]
fn a_variable_that_is_not_set_holds_no_password() {
    assert_picture(
        r#"
[upstream."docker.io"]
auth = { username = "me", password_env = "ARCHWAY_TEST_NO_SUCH" }"#,
        r#"
error: `password_env` holds no password
 --> archway.toml:2:42
  |
2 | auth = { username = "me", password_env = "ARCHWAY_TEST_NO_SUCH" }
  |                                          ^^^^^^^^^^^^^^^^^^^^^^ the environment variable ARCHWAY_TEST_NO_SUCH is not set
  |
  = help: set the variable to the password and nothing else"#,
    );
}

#[test]
fn a_login_has_one_password() {
    assert_picture(
        r#"
[upstream."docker.io"]
auth = { username = "me", password_env = "PATH", password_file = "/etc/hostname" }"#,
        r#"
error: `auth` has more than one password
 --> archway.toml:2:8
  |
2 | auth = { username = "me", password_env = "PATH", password_file = "/etc/hostname" }
  |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ only one of them can be used
  |
  = help: keep one of `password_file`, `password_env` and `password_credential`"#,
    );
}

#[test]
fn a_role_is_named_by_its_arn() {
    assert_picture(
        r#"
[upstream."*.dkr.ecr.*.amazonaws.com"]
auth = { ecr = { role_arn = "pull" } }"#,
        r#"
error: `role_arn` must be the ARN of a role
 --> archway.toml:2:29
  |
2 | auth = { ecr = { role_arn = "pull" } }
  |                             ^^^^^^ this is not the ARN of an IAM role
  |
  = help: write it like this: "arn:aws:iam::123456789012:role/pull""#,
    );
}

#[test]
fn an_external_id_is_for_a_role() {
    assert_picture(
        r#"
[upstream."*.dkr.ecr.*.amazonaws.com"]
auth = { ecr = { external_id = "archway-4711" } }"#,
        r#"
error: `external_id` needs a role
 --> archway.toml:2:32
  |
2 | auth = { ecr = { external_id = "archway-4711" } }
  |                                ^^^^^^^^^^^^^^ there is no `role_arn` beside it
  |
  = help: add `role_arn`: a role in another account demands the external id"#,
    );
}

#[test]
fn only_private_ecr_says_when_an_image_was_pushed() {
    assert_picture(
        r#"
[upstream."docker.io"]
pushed_at = true"#,
        r#"
error: `pushed_at` is for private ECR
 --> archway.toml:2:13
  |
2 | pushed_at = true
  |             ^^^^ this upstream cannot tell when an image was pushed
  |
  = help: remove it here, or set `auth` to "ecr""#,
    );
    for table in [
        "[upstream.\"docker.io\"]\npushed_at = false",
        "[upstream.\"*.dkr.ecr.*.amazonaws.com\"]\npushed_at = true",
        "[upstream.\"ecr.internal\"]\nauth = { ecr = { region = \"eu-west-1\" } }\npushed_at = true",
    ] {
        assert!(Config::parse("archway.toml", table).is_ok(), "{table}");
    }
}

/// Places where a password can end up by mistake: no picture shows it.
#[test]
fn no_picture_shows_a_password_whatever_the_mistake_is() {
    for lines in [
        r#"auth = { username = "me", pasword = "hunter2" }"#,
        r#"auth = { username = "me", password = "hunter2", foo = 1 }"#,
        r#"auth = { username = "me", password = "hunter2""#,
        r#"auth = { user = "me", password = "hunter2" }"#,
        r#"auth = { username = "me", password = hunter2 }"#,
        r#"auth = { ecr = "hunter2" }"#,
        r#"auth = { username = "me", ecr = { password = "hunter2" } }"#,
        r#"auth = { password = "x", ecr = "hunter2" }"#,
        r#"auth = { ecr = { token = "hunter2" }, ecr_public = {} }"#,
        r#"auth = { username = "me:hunter2", password_env = "PASSWORD" }"#,
        r#"private_hosts = ["https://user:hunter2/x@h"]"#,
        r#"auth = "me:hunter2""#,
        r#"password = "hunter2""#,
        r#"endpoints = ["https://me:hunter2@registry.example:99999"]"#,
        r#"endpoints = ["https://me:hunter2@registry.example"]"#,
        r#"endpoints = ["https://me:hunter2@registry.example", 5]"#,
        r#"endpoints = ["ftp://me:hunter2@registry.example"]"#,
        r#"endpoints = ["me:hunter2@registry.example"]"#,
        r#"endpoints = ["https://registry.example/?token=hunter2"]"#,
        r#"hosts = ["https://me:hunter2@registry.example"]"#,
        r#"hosts = ["me:hunter2@registry.example"]"#,
    ] {
        let text = format!("[upstream.\"docker.io\"]\n{lines}\n");
        let picture = report(&text);
        assert!(!picture.contains("hunter"), "{picture}");
        assert!(!picture.contains("did you mean `password`"), "{picture}");
    }
}

#[test]
fn below_an_unknown_key_texts_are_covered_and_numbers_and_switches_stay() {
    let text = "[log]\nk = { \"a b\" = [1, true, { e = 's' }], f = 3.5, g = \"\"\"s\"\"\" }";
    let picture = report(text);
    let covered = "k = { \"a b\" = [1, true, { e = *** }], f = 3.5, g = ******* }";
    assert!(picture.contains(covered), "{picture}");
}

/// However it is quoted, and whether or not the file is TOML.
#[test]
fn a_text_that_is_a_value_is_covered_or_not_shown() {
    for value in [
        "\"hunter\"",
        "{ b = \"hunter\", c = 'hunter' }",
        "[\n\"hunter\",\n['hunter'], 5]\nb = 1",
        "\"\"\"hunter\n\"hunter\"\"\"\nb = 1",
        "\"\\\"hunter\" # c",
        "hunter",
        "\"hunter",
        "\"b, c = \"hunter\" }",
    ] {
        for text in [
            format!("a = {value}"),
            format!("a: {value}"),
            format!("a {value}"),
        ] {
            let picture = report(&text);
            assert!(!picture.contains("hunter"), "{picture}");
        }
    }
}

fn report(text: &str) -> String {
    match Config::parse("archway.toml", text) {
        Err(ConfigError::Invalid(report)) => report.to_string(),
        other => panic!("this should be refused: {other:?}\n{text}"),
    }
}

proptest! {
    #[test]
    fn a_quoted_value_is_never_shown(
        head in "[a-z.]{0,5}", secret in "S{6}[A-Z]{0,9}", tail in "[\\]}, ]{0,4}",
    ) {
        for quote in ["\"", "'", "\"\"\"", "'''"] {
            let text = format!("{head}k = {{ x = {quote}{secret}{quote}{tail}\nnext = 1");
            prop_assert!(!report(&text).contains("SSSSSS"));
        }
    }
}
