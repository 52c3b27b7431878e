//! Each mistake with the picture that is shown for it, word for word.

mod auth;
mod limits;
mod listeners;
mod rules;
mod syntax;
mod tls;
mod upstreams;
mod values;

use crate::{Config, ConfigError, NamedFiles, Reach, Source};

/// The report on `text` and the files it names; both texts begin with a line end that does not
/// count.
#[track_caller]
fn assert_picture(text: &str, expected: &str) {
    let text = text.strip_prefix('\n').unwrap();
    let read = Config::read(
        "archway.toml",
        text,
        NamedFiles::Check,
        Reach::AsConfigured,
        None,
    );
    let Err(ConfigError::Invalid(report)) = read else {
        panic!("this should be refused:\n{text}");
    };
    assert_eq!(report.to_string(), expected.strip_prefix('\n').unwrap());
}

#[test]
fn colours_change_nothing_but_colours() {
    let Err(ConfigError::Invalid(report)) = Config::parse("archway.toml", "[cahce]") else {
        panic!("this should be refused");
    };
    let coloured = report.coloured();
    assert!(coloured.contains("\x1b["));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(plain + rest, report.to_string());
}

#[test]
fn a_file_that_is_no_text_is_shown_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archway.toml");
    std::fs::write(&path, b"[log]\nlevel = \"\xff\"\n").unwrap();
    let error = Config::load(&path).unwrap_err().to_string();
    assert!(error.starts_with("error: the file is not UTF-8"), "{error}");
    assert!(error.contains("archway.toml:2:10"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load("/nowhere/archway.toml".as_ref()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the configuration /nowhere/archway.toml"
    );
    assert!(matches!(error, ConfigError::Read { .. }));
}

#[test]
fn files_that_only_an_upstream_needs_are_not_checked_while_it_is_offline() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archway.toml");
    let auth = "auth = { username = \"me\", password_file = \"/nowhere\" }\nca_file = \"/nowhere\"";
    let table = format!("[upstream.\"docker.io\"]\n{auth}\n");
    let load = |text: &str, reach| {
        std::fs::write(&path, text).unwrap();
        Source::new(Some(path.clone()), reach).load()
    };
    assert!(load(&table, Reach::AsConfigured).is_err());
    assert!(load(&table, Reach::Offline).is_ok());
    assert!(load(&format!("{table}offline = true"), Reach::AsConfigured).is_ok());
    assert!(load(&format!("offline = true\n{table}"), Reach::AsConfigured).is_ok());
    let other = format!("{table}[upstream.\"quay.io\"]\noffline = true");
    assert!(load(&other, Reach::AsConfigured).is_err());
}

#[test]
fn a_load_checks_the_files_that_the_configuration_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archway.toml");
    let auth = "auth = { username = \"me\", password_file = \"/nowhere\" }";
    std::fs::write(&path, format!("[upstream.\"docker.io\"]\n{auth}\n")).unwrap();
    let error = Config::load(&path).unwrap_err().to_string();
    assert!(
        error.contains("`password_file` holds no password"),
        "{error}"
    );
}
