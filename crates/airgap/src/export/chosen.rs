//! Images of an export that are chosen among those that are stored: by their names, by their use.

use std::{collections::HashMap, time::SystemTime};

use cache::inspect::Contents;
use manifest_model::Digest;
use protocol::image_name::ImageName;

/// Which of the stored images are carried too; none if nothing is said of them.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// Those under names that match one of these, in which a `*` is any text.
    pub patterns: &'a [String],
    /// Those that were used since then; with patterns, of those.
    pub used_since: Option<SystemTime>,
}

impl Chosen<'_> {
    /// The chosen images, by name. What is attached to images comes with them.
    pub fn of(&self, contents: &Contents) -> Vec<ImageName> {
        if self.patterns.is_empty() && self.used_since.is_none() {
            return Vec::new();
        }
        let blobs = contents.blobs.iter();
        let used: HashMap<Digest, SystemTime> = blobs
            .map(|content| (content.digest, content.used))
            .collect();
        let used_lately = |digest| {
            let used = used.get(&digest);
            used.is_some_and(|used| self.used_since.is_none_or(|since| *used >= since))
        };
        let tags = contents.tags.iter().filter(|tagged| {
            let repository = tagged.repository.as_str();
            let name = format!("{repository}:{}", tagged.tag);
            let mut patterns = self.patterns.iter();
            let is_named = self.patterns.is_empty()
                || patterns.any(|pattern| matches(pattern, &name) || matches(pattern, repository));
            is_named
                && tagged.stored
                && tagged.tag.subject().is_none()
                && used_lately(tagged.entry.digest)
        });
        let names = tags.filter_map(|tagged| {
            let name = format!("{}:{}", tagged.repository, tagged.tag);
            name.parse().ok()
        });
        names.collect()
    }
}

/// Whether all of a name is as the pattern says, in which a `*` is any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(name) = name.strip_prefix(start) else {
        return false;
    };
    let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
    let mut rests = ends.map(|at| &name[at..]);
    rests.any(|left| matches(rest, left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text_and_all_else_is_itself() {
        for (pattern, name) in [
            ("*", "docker.io/library/a:1"),
            ("docker.io/*", "docker.io/library/a:1"),
            ("*/a", "docker.io/library/a"),
            ("*/library/*:1", "docker.io/library/a:1"),
            ("docker.io/library/a", "docker.io/library/a"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("docker.io", "docker.io/library/a"),
            ("*/b*", "docker.io/library/a:1"),
            ("a*", "docker.io/library/a"),
            ("*:2", "docker.io/library/a:1"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
