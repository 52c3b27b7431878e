//! The proxies in the environment that a service manager gives containerd.

use std::{collections::BTreeMap, ffi::OsStr, net::IpAddr, path::Path};

use ipnet::IpNet;

use super::lookup::CheckError;
use crate::{
    Mirror,
    containerd::{ConfigOwner, Root, directory, owner::CONTAINERD_UNITS},
};

/// Where units are, the most important folder first.
const FOLDERS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// The variables of containerd's unit, each with the file that it is from.
#[derive(Debug, Default)]
pub(super) struct Environment {
    variables: BTreeMap<String, (String, String)>,
    /// What those begin with that are for containerd alone, and go before the others.
    own: &'static str,
}

impl Environment {
    /// Reads the unit that starts containerd, its drop-ins and the files of variables that these name.
    pub(super) fn read(root: &Root, owner: Option<&ConfigOwner>) -> Result<Self, CheckError> {
        let mut environment = Self {
            own: owner.map_or("", ConfigOwner::variables),
            ..Self::default()
        };
        let mut files = Vec::new();
        for unit in owner.map_or(CONTAINERD_UNITS, ConfigOwner::units) {
            for path in parts(root, unit)? {
                let Some(text) = root.read(&path).map_err(CheckError::read(&path))? else {
                    continue;
                };
                environment.add_unit(&path, unit, &text, &mut files);
            }
        }
        // Files win over assignments, wherever these stand.
        for path in files {
            if let Some(text) = root.read(&path).map_err(CheckError::read(&path))? {
                for line in text.lines() {
                    environment.set(line.trim().trim_start_matches("export "), &path);
                }
            }
        }
        Ok(environment)
    }

    fn add_unit(&mut self, path: &str, unit: &str, text: &str, files: &mut Vec<String>) {
        let name = unit.trim_end_matches(".service");
        for line in text.replace("\\\n", " ").lines() {
            if let Some(assignments) = line.trim().strip_prefix("Environment=") {
                if assignments.trim().is_empty() {
                    self.variables.clear();
                }
                for assignment in words(assignments) {
                    self.set(&assignment, path);
                }
            } else if let Some(file) = line.trim().strip_prefix("EnvironmentFile=") {
                match file.trim().trim_start_matches('-') {
                    "" => files.clear(),
                    file => files.push(file.replace("%N", name)),
                }
            }
        }
    }

    fn set(&mut self, assignment: &str, path: &str) {
        if let Some((name, value)) = assignment.split_once('=')
            && !name.starts_with(['#', ';'])
        {
            let value = value.trim().trim_matches(['"', '\'']);
            let value = (value.to_owned(), path.to_owned());
            self.variables.insert(name.trim().to_owned(), value);
        }
    }

    /// The proxy that requests for `mirror` go to, and the file that says so. A machine's own
    /// addresses never go to one.
    pub(super) fn proxy_for(&self, mirror: &Mirror) -> Option<(String, String)> {
        let scheme = if mirror.is_tls() { "HTTPS" } else { "HTTP" };
        let (proxy, path) = self.get(&format!("{scheme}_PROXY"))?;
        let is_spared = self.get("NO_PROXY").is_some_and(|(list, _)| {
            let mut entries = list.split(',').map(str::trim);
            entries.any(|entry| covers(entry, mirror))
        });
        let is_used = !mirror.is_loopback() && !is_spared;
        is_used.then(|| (without_credentials(proxy), path.clone()))
    }

    /// A variable under its name for containerd alone, in capitals, else in small letters; an empty one
    /// is not set, as for Go.
    fn get(&self, name: &str) -> Option<&(String, String)> {
        let names = [
            format!("{}{name}", self.own),
            name.to_owned(),
            name.to_lowercase(),
        ];
        let mut found = names.iter().filter_map(|name| self.variables.get(name));
        found.find(|found| !found.0.is_empty())
    }
}

/// A proxy as it may be shown: without the name and the password before its host.
fn without_credentials(proxy: &str) -> String {
    let Some((before, host)) = proxy.rsplit_once('@') else {
        return proxy.to_owned();
    };
    match before.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://{host}"),
        None => host.to_owned(),
    }
}

/// The unit that counts, then its drop-ins in the order of their names.
fn parts(root: &Root, unit: &str) -> Result<Vec<String>, CheckError> {
    let places = FOLDERS.iter().map(|folder| format!("{folder}/{unit}"));
    let mut all: Vec<String> = places.filter(|path| root.has(path)).take(1).collect();
    let mut drop_ins = BTreeMap::new();
    for folder in FOLDERS {
        let folder = format!("{folder}/{unit}.d");
        let names = directory::names(root, &folder).map_err(CheckError::read(&folder))?;
        for name in names {
            let path = format!("{folder}/{name}");
            if Path::new(&name).extension() == Some(OsStr::new("conf")) {
                drop_ins.entry(name).or_insert(path);
            }
        }
    }
    all.extend(drop_ins.into_values());
    Ok(all)
}

/// The words of a line; quotes keep blanks.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        match (letter, quote) {
            ('"' | '\'', None) => quote = Some(letter),
            (letter, Some(open)) if letter == open => quote = None,
            (' ' | '\t', None) => words.push(String::new()),
            (letter, _) => words
                .last_mut()
                .into_iter()
                .for_each(|word| word.push(letter)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether an entry of `NO_PROXY` is about this listener, as Go reads it.
fn covers(entry: &str, mirror: &Mirror) -> bool {
    let host = mirror.host().name().trim_matches(['[', ']']).to_lowercase();
    let entry = entry.to_lowercase();
    if entry.is_empty() {
        return false;
    }
    if entry == "*" {
        return true;
    }
    if let Ok(address) = host.parse::<IpAddr>() {
        if let Ok(network) = entry.parse::<IpNet>() {
            return network.contains(&address);
        }
        let port = format!(":{}", mirror.port());
        let named = entry.strip_suffix(&port).unwrap_or(&entry);
        return named.trim_matches(['[', ']']).parse() == Ok(address);
    }
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (entry.as_str(), None),
    };
    if port.is_some_and(|port| port != mirror.port().to_string()) {
        return false;
    }
    let domain = name.trim_start_matches('*').trim_start_matches('.');
    let is_below = host
        .strip_suffix(domain)
        .is_some_and(|rest| rest.ends_with('.'));
    is_below || (host == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(url: &str) -> Mirror {
        Mirror::parse(url).unwrap()
    }

    #[test]
    fn an_entry_covers_what_go_takes_it_for() {
        for (entry, url, is_covered) in [
            ("10.0.0.0/8", "http://10.1.2.3:5000", true),
            ("10.1.2.3", "http://10.1.2.3:5000", true),
            ("10.1.2.3:5000", "http://10.1.2.3:5000", true),
            ("10.1.2.3:80", "http://10.1.2.3:5000", false),
            ("192.168.0.0/16", "http://10.1.2.3:5000", false),
            ("fd00::/8", "http://[fd00::1]:5000", true),
            ("archway.example", "http://archway.example:5000", true),
            ("example", "http://archway.example:5000", true),
            (".example", "http://archway.example:5000", true),
            ("*.example", "http://archway.example:5000", true),
            ("way.example", "http://archway.example:5000", false),
            (".archway.example", "http://archway.example:5000", false),
            ("archway.example:80", "http://archway.example:5000", false),
            ("*", "http://archway.example:5000", true),
            ("", "http://archway.example:5000", false),
        ] {
            assert_eq!(covers(entry, &mirror(url)), is_covered, "{entry} {url}");
        }
    }

    #[test]
    fn words_are_parted_by_blanks_but_not_within_quotes() {
        let line = "\"HTTP_PROXY=http://a b\" 'X=1'  NO_PROXY=c,d";
        assert_eq!(
            words(line),
            ["HTTP_PROXY=http://a b", "X=1", "NO_PROXY=c,d"]
        );
    }

    #[test]
    fn drop_ins_and_files_win_over_the_unit() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        for (path, text) in [
            (
                "/lib/systemd/system/containerd.service",
                "[Service]\nEnvironment=HTTP_PROXY=http://one\n",
            ),
            (
                "/etc/systemd/system/containerd.service.d/20-b.conf",
                "[Service]\nEnvironment=\"HTTP_PROXY=http://three\"\nEnvironmentFile=-/etc/proxy.env\n",
            ),
            (
                "/etc/systemd/system/containerd.service.d/10-a.conf",
                "[Service]\nEnvironment=HTTP_PROXY=http://two \\\n  HTTPS_PROXY=http://two\n",
            ),
            (
                "/etc/proxy.env",
                "# proxies\nHTTPS_PROXY=\nhttps_proxy='http://me:p@ss@four'\nNO_PROXY=.corp\n",
            ),
        ] {
            std::fs::create_dir_all(root.at(path).parent().unwrap()).unwrap();
            std::fs::write(root.at(path), text).unwrap();
        }
        let environment = Environment::read(&root, None).unwrap();
        let proxy = |url| environment.proxy_for(&mirror(url)).map(|(proxy, _)| proxy);
        assert_eq!(
            proxy("http://10.0.0.1:5000").as_deref(),
            Some("http://three")
        );
        assert_eq!(proxy("https://10.0.0.1").as_deref(), Some("http://four"));
        assert_eq!(proxy("https://archway.corp"), None);
        assert_eq!(proxy("http://127.0.0.1:5000"), None);
    }
}
