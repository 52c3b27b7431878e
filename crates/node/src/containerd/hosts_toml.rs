//! `hosts.toml` as containerd reads it: the places to ask, in their order.

use protocol::headers::ARCHWAY_PLATFORM;
use toml_edit::{Document, Item, TableLike};

use super::{Version, toml_place};

/// What containerd makes of a `hosts.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostsFile {
    /// The `[host]` tables in their order.
    pub(crate) hosts: Vec<Place>,
    /// The last place to ask, if the file names it; else it is the registry itself.
    pub(crate) server: Option<String>,
}

/// A place to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Its URL, as it is written.
    pub(crate) url: String,
    /// Whether it is asked for tags.
    pub(crate) resolves: bool,
    /// Whether it is asked for manifests and blobs by digest.
    pub(crate) pulls: bool,
    /// Its `dial_timeout`.
    pub(crate) dial_timeout: Option<String>,
    /// The platform that it is asked for, by a header of Archway's.
    pub(crate) platform: Option<String>,
}

/// Why containerd puts a `hosts.toml` aside, with one line in its log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostsFault {
    /// It is not TOML.
    #[error("it is broken in line {line}: {message}")]
    Syntax {
        /// Where.
        line: usize,
        /// What.
        message: String,
    },
    /// A capability that this version does not know.
    #[error("it has the capability `{0}`, for which this containerd refuses the whole file")]
    Capability(String),
    /// A key has a value of another type.
    #[error("`{0}` has a value of the wrong type")]
    Type(&'static str),
    /// It has no `[host]` table, which 1.6 insists on.
    #[error("it has no [host] table, without which containerd 1.6 refuses it")]
    NoHost,
}

/// Known to every version.
const CAPABILITIES: [&str; 3] = ["pull", "resolve", "push"];
/// Known to later ones.
const REFERRERS: &str = "referrers";

impl HostsFile {
    /// Reads the text. A `version` is that of the containerd that will read it.
    pub(crate) fn parse(text: &str, version: Option<Version>) -> Result<Self, HostsFault> {
        let document = Document::parse(text).map_err(|error| syntax(text, &error))?;
        let root = document.as_table();
        check_types(root)?;
        let mut hosts = Vec::new();
        if let Some(tables) = root.get("host") {
            let tables = tables.as_table_like().ok_or(HostsFault::Type("host"))?;
            for (url, item) in tables.iter() {
                let keys = item.as_table_like().ok_or(HostsFault::Type("host"))?;
                check_types(keys)?;
                let place = Place::of(url, keys, version)?;
                // Others are checked but not in the order, and so never asked.
                if is_headed(item) {
                    hosts.push(place);
                }
            }
        }
        capabilities(root, version)?;
        if hosts.is_empty() && version.is_some_and(|version| !version.takes_bare_file()) {
            return Err(HostsFault::NoHost);
        }
        let server = root.get("server").and_then(Item::as_str);
        Ok(Self {
            hosts,
            server: server
                .filter(|server| !server.is_empty())
                .map(str::to_owned),
        })
    }
}

impl Place {
    fn of(url: &str, keys: &dyn TableLike, version: Option<Version>) -> Result<Self, HostsFault> {
        let named = capabilities(keys, version)?;
        let can = |word: &str| named.is_empty() || named.iter().any(|named| named == word);
        let dial_timeout = keys.get("dial_timeout").and_then(Item::as_str);
        Ok(Self {
            url: url.to_owned(),
            resolves: can("resolve"),
            pulls: can("pull"),
            dial_timeout: dial_timeout.map(str::to_owned),
            platform: platform(keys),
        })
    }
}

/// The first value of the header, as containerd takes it.
fn platform(keys: &dyn TableLike) -> Option<String> {
    let mut headers = keys.get("header")?.as_table_like()?.iter();
    let is_platform = |name: &str| name.eq_ignore_ascii_case(ARCHWAY_PLATFORM.as_str());
    let (_, value) = headers.find(|(name, _)| is_platform(name))?;
    let first = || value.as_array()?.get(0)?.as_str();
    value.as_str().or_else(first).map(str::to_owned)
}

/// The capabilities that are named. An unknown version is taken for one that knows all of them.
fn capabilities(keys: &dyn TableLike, version: Option<Version>) -> Result<Vec<String>, HostsFault> {
    let knows_referrers = version.is_none_or(Version::knows_referrers);
    let Some(list) = keys.get("capabilities") else {
        return Ok(Vec::new());
    };
    let wrong = HostsFault::Type("capabilities");
    let mut words = Vec::new();
    for item in list.as_array().ok_or(wrong.clone())? {
        let word = item.as_str().ok_or(wrong.clone())?.to_lowercase();
        let is_known =
            CAPABILITIES.contains(&word.as_str()) || (knows_referrers && word == REFERRERS);
        if !is_known {
            return Err(HostsFault::Capability(word));
        }
        words.push(word);
    }
    Ok(words)
}

/// The keys whose type containerd insists on.
fn check_types(keys: &dyn TableLike) -> Result<(), HostsFault> {
    let check = |key: &'static str, is_right: fn(&Item) -> bool| match keys.get(key) {
        Some(item) if !is_right(item) => Err(HostsFault::Type(key)),
        _ => Ok(()),
    };
    check("server", Item::is_str)?;
    check("dial_timeout", Item::is_str)?;
    check("skip_verify", Item::is_bool)?;
    check("override_path", Item::is_bool)?;
    check("header", |item| item.as_table_like().is_some())?;
    check("ca", |item| item.is_str() || item.is_array())?;
    check("client", |item| item.is_str() || item.is_array())
}

/// Whether the table has a header line of its own, or one of a table below it.
fn is_headed(item: &Item) -> bool {
    match item {
        Item::Table(table) => {
            !table.is_dotted()
                && (!table.is_implicit() || table.iter().any(|(_, item)| is_headed(item)))
        }
        _ => false,
    }
}

fn syntax(text: &str, error: &toml_edit::TomlError) -> HostsFault {
    let (line, message) = toml_place::of(text, error);
    HostsFault::Syntax { line, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<HostsFile, HostsFault> {
        HostsFile::parse(text, None)
    }

    #[test]
    fn the_places_are_in_the_order_of_the_file_and_the_server_is_the_last() {
        let file = parse(
            "server = \"https://last\"\n[host.\"http://b\"]\ncapabilities = [\"pull\"]\n\
             [host.\"http://b\".header]\nx = \"y\"\n[host.\"http://a\"]\ndial_timeout = \"1s\"\n",
        )
        .unwrap();
        let urls: Vec<_> = file.hosts.iter().map(|place| place.url.as_str()).collect();
        assert_eq!(urls, ["http://b", "http://a"]);
        assert_eq!(file.server.as_deref(), Some("https://last"));
        assert!(file.hosts[0].pulls && !file.hosts[0].resolves);
        assert!(file.hosts[1].resolves);
        assert_eq!(file.hosts[1].dial_timeout.as_deref(), Some("1s"));
    }

    #[test]
    fn a_host_without_a_header_line_of_its_own_is_never_asked() {
        for text in [
            "host.\"http://a\".capabilities = [\"pull\"]\n",
            "host = { \"http://a\" = { capabilities = [\"pull\"] } }\n",
        ] {
            assert_eq!(parse(text).unwrap().hosts, [], "{text}");
        }
        let below = "[host.\"http://a\".header]\nx = [\"y\"]\n";
        assert_eq!(parse(below).unwrap().hosts.len(), 1);
    }

    #[test]
    fn what_containerd_puts_aside_is_a_fault() {
        let faulty = |text| parse(text).unwrap_err().to_string();
        assert!(faulty("server = \n").contains("broken in line 1"));
        assert!(faulty("a = 1\n[host.\"x\"\n").contains("broken in line 2"));
        let capability = "[host.\"x\"]\ncapabilities = [\"pull\", \"listen\"]\n";
        assert!(faulty(capability).contains("`listen`"));
        assert!(faulty("[host.\"x\"]\nskip_verify = \"yes\"\n").contains("`skip_verify`"));
        assert!(faulty("host = 1\n").contains("`host`"));
    }

    #[test]
    fn referrers_is_a_fault_for_versions_that_do_not_know_it() {
        let text = "[host.\"x\"]\ncapabilities = [\"pull\", \"Referrers\"]\n";
        let old = HostsFile::parse(text, Some(Version::of(2, 2)));
        assert_eq!(old, Err(HostsFault::Capability("referrers".into())));
        assert!(HostsFile::parse(text, Some(Version::of(2, 3))).is_ok());
        assert!(parse(text).is_ok());
    }

    #[test]
    fn only_1_6_insists_on_a_host() {
        let bare = "server = \"http://a\"\n";
        let old = HostsFile::parse(bare, Some(Version::of(1, 6)));
        assert_eq!(old, Err(HostsFault::NoHost));
        assert!(HostsFile::parse(bare, Some(Version::of(1, 7))).is_ok());
        assert!(parse(bare).is_ok());
    }
}
