//! Credentials, and files named in the configuration.

use super::assert_picture;

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
  = help: the file has the password and nothing else; a line end is ignored"#,
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
  = help: name a file in PEM form"#,
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
        r#"
error: `auth` is no known way to authenticate
 --> archway.toml:2:8
  |
2 | auth = "erc"
  |        ^^^^^ not one of the words possible here
  |
  = help: did you mean `ecr`?"#,
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
