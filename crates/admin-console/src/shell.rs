//! Commands that a reader copies into a shell.

/// A word of a command, quoted if a shell would read it otherwise than as it stands.
pub(crate) fn word(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:@%+=,".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A command of these words.
pub(crate) fn command(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|one| word(one)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_each_word_as_it_is() {
        assert_eq!(
            command(&["archway", "rm", "docker.io/library/alpine:3"]),
            "archway rm docker.io/library/alpine:3"
        );
        assert_eq!(word("a b; rm -rf $HOME"), "'a b; rm -rf $HOME'");
        assert_eq!(word("it's"), r"'it'\''s'");
        assert_eq!(word(""), "''");
    }
}
