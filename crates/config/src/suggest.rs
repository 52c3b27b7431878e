//! "Did you mean": the known word nearest to the one in the file.

use strsim::osa_distance;

use crate::meaning::Wrong;

/// The most words that a help line lists.
const MAX_LISTED: usize = 16;

/// A help line for `word`: the known word it is probably a slip of, else all of them.
pub(crate) fn help(word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.len() > MAX_LISTED => format!(
            "none of the {} words known here is like it; `archway config print` shows them with their values",
            known.len()
        ),
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
    let is_near = distance <= near.len().max(word.len()) / 3;
    is_near.then_some(near).or_else(|| longer(word, known))
}

/// The known word that `word` is a longer or shorter form of, as `warning` is of `warn`.
fn longer<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let mut known = known.iter().copied();
    known.find(|known| {
        known.len().min(word.len()) >= SHORTEST_STEM
            && (word.starts_with(known) || known.starts_with(word))
    })
}

/// Fewer letters are the start of many words.
const SHORTEST_STEM: usize = 4;

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
            ("warning", "warn", true),
            ("log", "logger", false),
        ] {
            let near = nearest(word, &[known]);
            assert_eq!(near.is_some(), is_near, "{word} {known}");
        }
    }
}
