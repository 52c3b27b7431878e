use super::*;
use crate::Config;

fn rules(tables: &str) -> Rules {
    let text = format!("[upstream.\"docker.io\"]\n{tables}");
    let config = Config::parse("archway.toml", &text).unwrap();
    config
        .upstreams
        .find(&"docker.io".parse().unwrap())
        .unwrap()
        .rules
        .clone()
}

const BOTH: &str = r#"
[[upstream."docker.io".virtual_index]]
name = "team/*:*"
sources = ["team/*-amd64:*", "team/*:*-arm64"]

[[upstream."docker.io".virtual_index]]
name = "team/app:*"
sources = ["never/reached:*"]

[[upstream."docker.io".alias]]
name = "*:*-arm64"
target = "all/*:*"
platform = "linux/arm64"
"#;

/// The names that the rule for a name looks at.
fn looks_at(rules: &Rules, repository: &str, tag: &str) -> Vec<String> {
    let (repository, tag) = (repository.parse().unwrap(), tag.parse().unwrap());
    let rule = rules.of(&repository, &tag);
    let names = rule.map(|rule| rule.looks_at(&repository, &tag));
    let names = names.into_iter().flatten();
    names.map(|(name, tag)| format!("{name}:{tag}")).collect()
}

#[test]
fn the_first_rule_that_fits_counts_and_aliases_come_first() {
    let rules = rules(BOTH);
    assert_eq!(
        looks_at(&rules, "team/app", "1.0"),
        ["team/app-amd64:1.0", "team/app:1.0-arm64"]
    );
    assert_eq!(
        looks_at(&rules, "team/app", "1.0-arm64"),
        ["all/team/app:1.0"]
    );
    assert!(looks_at(&rules, "other", "1.0").is_empty());
}

#[test]
fn a_name_no_registry_could_have_is_not_looked_at() {
    let longest = "v".repeat(300);
    assert_eq!(
        looks_at(&rules(BOTH), "team/app", &longest),
        [format!("team/app-amd64:{longest}")]
    );
}

#[test]
fn lenders_are_the_other_repositories_of_all_rules_for_a_repository() {
    let lenders = |name: &str| {
        let lenders = rules(BOTH).lenders(&name.parse().unwrap());
        let names = lenders.iter().map(ToString::to_string);
        names.collect::<Vec<_>>()
    };
    assert_eq!(
        lenders("team/app"),
        ["all/team/app", "never/reached", "team/app-amd64"]
    );
    assert_eq!(lenders("other"), ["all/other"]);
    assert!(
        Rules::default()
            .lenders(&"team/app".parse().unwrap())
            .is_empty()
    );
}
