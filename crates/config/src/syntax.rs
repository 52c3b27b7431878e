//! Words for what the TOML parser and serde refuse: syntax, unknown and missing keys, wrong types.
//!
//! Both say it in a sentence; a test per sentence notices when one changes, and then it is shown as it came. No sentence of
//! ours repeats a text of the file that may be a secret.

use super::{error::Problem, suggest};

const PASSWORD: &str = "password";
const PASSWORD_HELP: &str = "a password does not stand in the file: auth = { username = \"me\", password_file = \"/run/secrets/hub\" }";

/// The parser's error as a problem of ours.
pub(super) fn problem(error: &toml::de::Error) -> Problem {
    let problem = |title: String| Problem::new(error.span().unwrap_or(0..0), title);
    let message = error.message().trim();
    if let Some((key, mut known)) = unknown_key(message) {
        let problem = problem(format!("unknown key `{key}`")).label("no such key can stand here");
        if key == PASSWORD {
            return problem.help(PASSWORD_HELP);
        }
        // Known only to say that it is not to be used.
        known.retain(|known| *known != PASSWORD);
        return problem.help(suggest::help(key, &known));
    }
    if let Some(key) = message.strip_prefix("missing field ") {
        return problem(format!("missing key {key}")).label(format!("{key} must be set here"));
    }
    match wrong_type(message) {
        Some(("map", "a sequence")) => problem("a list is expected here".to_owned())
            .label("found a single table")
            .help("each table of a list has double brackets, as in [[listener]]"),
        Some((found, expected)) => {
            let found = match found {
                "map" => "a table",
                text if text.starts_with("string ") => "a string",
                found => found,
            };
            problem(format!("{expected} is expected here")).label(format!("found {found}"))
        }
        None if message == "duplicate key" => {
            problem("a key is set twice".to_owned()).label("this was set before")
        }
        None => problem(message.replace('\n', "; ")),
    }
}

/// The word serde does not know, and those it does.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let (word, rest) = message.strip_prefix("unknown field `")?.split_once('`')?;
    Some((word, rest.split('`').skip(1).step_by(2).collect()))
}

/// What serde found, and what it expected.
fn wrong_type(message: &str) -> Option<(&str, &str)> {
    message
        .strip_prefix("invalid type: ")?
        .split_once(", expected ")
}
