//! "Did you mean": the known word nearest to the one in the file.

use strsim::osa_distance;

use crate::meaning::Wrong;

/// A help line for `word`: the known word it is probably a slip of, else all of them.
pub(crate) fn help(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", list(known)),
    }
}

/// The value of the word that `text` is, else the word it should be.
pub(crate) fn word<T, const N: usize>(text: &str, known: [(&str, T); N]) -> Result<T, Wrong> {
    let words = known.each_ref().map(|(word, _)| *word);
    let mut known = known.into_iter();
    match known.find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(value),
        None => Err(Wrong::new("not one of the words possible here").help(help(text, &words))),
    }
}

fn list(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

/// The nearest word, if it is near enough: one slip in three characters. Case does not count.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |known: &str| {
        let [word, known] = [word, known].map(str::to_ascii_lowercase);
        osa_distance(&word, &known)
    };
    let distances = known.iter().map(|known| (distance(known), *known));
    let (distance, near) = distances.min()?;
    (distance <= near.len().max(word.len()) / 3).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["tag_ttl", "endpoints", "auth"];
        assert_eq!(help("tag_tll", &known), "did you mean `tag_ttl`?");
        assert_eq!(help("endpoint", &known), "did you mean `endpoints`?");
        assert_eq!(help("Auth", &known), "did you mean `auth`?");
        assert_eq!(
            help("mirrors", &known),
            "known here: `tag_ttl`, `endpoints`, `auth`"
        );
    }

    #[test]
    fn the_distance_counts_single_edits() {
        for (word, known, is_near) in [
            ("", "", true),
            ("abc", "", false),
            ("kitten", "sitting", false),
            ("kitten", "sittin", true),
            ("ecr", "erc", true),
            ("Auth", "auth", true),
        ] {
            let near = nearest(word, &[known]);
            assert_eq!(near.is_some(), is_near, "{word} {known}");
        }
    }
}
