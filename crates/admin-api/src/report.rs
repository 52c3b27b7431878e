//! `GET /_archway/v1/report`, and `archway report -o json`: the images to build before machines of another
//! kind join.

use serde::{Deserialize, Serialize};

/// Which stored images do not exist for a platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The platforms that are needed.
    pub need: Vec<String>,
    /// The number of images checked.
    pub checked: usize,
    /// The images that lack one.
    pub lacking: Vec<Lacking>,
    /// Images whose platform is not known, since no config of theirs is stored.
    pub unknown: Vec<String>,
    /// Where the next page begins, for the parameter `after`; none on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An image that lacks a platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lacking {
    /// Its name: `HOST/REPOSITORY:TAG`.
    pub name: String,
    /// The needed platforms that it does not exist for.
    pub lacks: Vec<String>,
    /// The platforms that it exists for.
    pub has: Vec<String>,
}
