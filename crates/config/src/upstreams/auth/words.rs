//! The strings of `auth`.

use crate::meaning::{Meaning, Wrong};

#[derive(Clone, Debug)]
pub(super) struct Username(pub(super) String);

#[derive(Clone, Debug)]
pub(super) struct Region(pub(super) String);

#[derive(Clone, Debug)]
pub(super) struct RoleArn(pub(super) String);

#[derive(Clone, Debug)]
pub(super) struct ExternalId(pub(super) String);

#[derive(Clone, Debug)]
pub(super) struct Variable(pub(super) String);

#[derive(Clone, Debug)]
pub(super) struct CredentialName(pub(super) String);

impl Meaning for Username {
    const WHAT: &'static str = "a user name";
    const EXAMPLE: &'static str = "\"me\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() || text.contains(|char: char| char == ':' || char.is_control()) {
            let wrong = Wrong::new(
                "a user name has at least one character, no colon and no control characters",
            );
            // Perhaps the pair of name and password, as Docker writes it.
            return Err(if text.contains(':') {
                wrong.secret()
            } else {
                wrong
            });
        }
        Ok(Self(text.to_owned()))
    }
}

impl Meaning for Region {
    const WHAT: &'static str = "an AWS region";
    const EXAMPLE: &'static str = "\"eu-west-1\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 63 || !text.bytes().all(is_word) {
            return Err(Wrong::new(
                "a region has lower-case letters, digits and hyphens",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Meaning for RoleArn {
    const WHAT: &'static str = "the ARN of a role";
    const EXAMPLE: &'static str = "\"arn:aws:iam::123456789012:role/pull\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let parts: Vec<_> = text.splitn(6, ':').collect();
        match parts[..] {
            ["arn", partition, "iam", "", account, resource]
                if partition.starts_with("aws")
                    && account.len() == 12
                    && account.bytes().all(|byte| byte.is_ascii_digit())
                    && resource.len() > "role/".len()
                    && resource.starts_with("role/")
                    && resource.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Wrong::new("this is not the ARN of an IAM role")),
        }
    }
}

impl Meaning for ExternalId {
    const WHAT: &'static str = "an external id";
    const EXAMPLE: &'static str = "\"archway-4711\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte);
        if !(2..=1224).contains(&text.len()) || !text.bytes().all(is_allowed) {
            return Err(Wrong::new(
                "an external id has 2 to 1224 letters, digits and characters of _+=,.@:/-",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Meaning for Variable {
    const WHAT: &'static str = "the name of an environment variable";
    const EXAMPLE: &'static str = "\"HUB_PASSWORD\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() || text.contains(['=', '\0']) {
            return Err(Wrong::new("a variable's name has no `=`"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Meaning for CredentialName {
    const WHAT: &'static str = "the name of a systemd credential";
    const EXAMPLE: &'static str = "\"hub\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() || text.contains(['/', '\0']) || matches!(text, "." | "..") {
            return Err(Wrong::new("a credential's name is a file name"));
        }
        Ok(Self(text.to_owned()))
    }
}
