//! `[tier]`: the bucket that keeps a second copy of what was downloaded, for all replicas.

use std::{fmt, path::PathBuf};

use ipnet::IpNet;
use serde::{Serialize, Serializer};
use toml::Spanned;
use url::Url;

use crate::{
    meaning::{Meaning, Wrong},
    platform::Network,
    problem::{Problem, Problems},
    secret::SecretSource,
    show,
    table::Table,
    units::{self, Size},
};

/// The size from which blobs are redirected, of no redirects.
const OFF: &str = "off";

/// The bucket that keeps a second copy of what was downloaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TierConfig {
    /// The bucket, and the folder in it.
    #[serde(serialize_with = "show::text")]
    pub url: BucketUrl,
    /// The region of a bucket of S3; unset: the one of this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The server of the bucket, where it is not the provider's own.
    #[serde(
        serialize_with = "show_endpoint",
        skip_serializing_if = "Option::is_none"
    )]
    pub endpoint: Option<Url>,
    /// Whether the bucket's name is in the path rather than in the host.
    pub path_style: bool,
    /// The key of KMS that new objects are encrypted with; unset: as the bucket says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// The bytes beyond which the least recently used blobs are deleted; unset: none are.
    #[serde(
        serialize_with = "show::optional_size",
        skip_serializing_if = "Option::is_none"
    )]
    pub max_size: Option<u64>,
    /// The file of the secret that records are signed with.
    #[serde(
        serialize_with = "show::optional_path",
        skip_serializing_if = "Option::is_none"
    )]
    pub key_file: Option<PathBuf>,
    /// The size from which a client is sent to the bucket for a blob; unset: it never is.
    #[serde(serialize_with = "show_redirect")]
    pub redirect: Option<u64>,
    /// The clients that are sent there; none means all.
    #[serde(serialize_with = "show::texts")]
    pub redirect_networks: Vec<IpNet>,
    /// The server that clients are sent to, where it is another than `endpoint`.
    #[serde(
        serialize_with = "show_endpoint",
        skip_serializing_if = "Option::is_none"
    )]
    pub redirect_endpoint: Option<Url>,
}

/// The provider of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketProvider {
    /// S3, and everything that speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage, with the account from the environment.
    Azure,
}

/// A bucket and a folder in it: `s3://bucket/folder`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    /// Whose bucket it is.
    pub provider: BucketProvider,
    /// The bucket, or the container.
    pub bucket: String,
    /// The folder, without a slash at either end; empty for the whole bucket.
    pub prefix: String,
}

#[derive(Clone, Debug)]
struct StoreUrl(Url);

#[derive(Clone, Debug)]
struct StoreRegion(String);

#[derive(Clone, Debug)]
struct KmsKey(String);

#[derive(Clone, Copy, Debug)]
struct RedirectFrom(Option<u64>);

impl TierConfig {
    /// The section; `None` where it names no bucket, which is a mistake.
    pub(crate) fn read(table: &mut Table<'_>) -> Option<Self> {
        let url = table.required::<BucketUrl>("url");
        let region = table.take("region").map(|StoreRegion(region)| region);
        let endpoint = table.take("endpoint").map(|StoreUrl(url)| url);
        let path_style = table.spanned_flag("path_style");
        let kms_key = table.take("kms_key").map(|KmsKey(key)| key);
        let max_size = table.take("max_size").map(|Size(bytes)| bytes);
        let key_file = table.spanned::<PathBuf>("key_file");
        let RedirectFrom(redirect) = table.or("redirect", RedirectFrom(None));
        let networks = table.list("redirect_networks").into_iter();
        let redirect_endpoint = table.take("redirect_endpoint").map(|StoreUrl(url)| url);
        let problems = table.problems;
        Some(Self {
            url: url?.into_inner(),
            region,
            // A server of one's own seldom has a name for each bucket.
            path_style: path_style.map_or(endpoint.is_some(), Spanned::into_inner),
            endpoint,
            kms_key,
            max_size,
            key_file: key_file.map(|file| checked(file, problems)),
            redirect,
            redirect_networks: networks.map(|Network(network)| network).collect(),
            redirect_endpoint,
        })
    }
}

/// Reads the file of the secret at start, so that a wrong path is seen there.
fn checked(file: Spanned<PathBuf>, problems: &Problems) -> PathBuf {
    let (span, path) = (file.span(), file.into_inner());
    let source = SecretSource::File(path.clone());
    problems.check_later(move || {
        let error = source.read().err()?;
        let problem = Problem::new(span, "`key_file` has no secret");
        let help = "write one with: openssl rand -hex 32; all replicas need the same";
        Some(problem.label(error.to_string()).help(help))
    });
    path
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.provider {
            BucketProvider::S3 => "s3",
            BucketProvider::Gcs => "gs",
            BucketProvider::Azure => "az",
        };
        write!(formatter, "{scheme}://{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(formatter, "/{}", self.prefix)?;
        }
        Ok(())
    }
}

#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn show_endpoint<S: Serializer>(url: &Option<Url>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = url.as_ref().map(|url| url.origin().ascii_serialization());
    text.serialize(serializer)
}

#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn show_redirect<S: Serializer>(from: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match from {
        Some(bytes) => serializer.serialize_str(&units::size(*bytes)),
        None => serializer.serialize_str(OFF),
    }
}

impl Meaning for BucketUrl {
    const WHAT: &'static str = "the URL of a bucket";
    const EXAMPLE: &'static str = "\"s3://my-bucket/archway\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Wrong::new("the scheme is missing").help(format!("write \"s3://{text}\"")));
        };
        let provider = match scheme {
            "s3" => BucketProvider::S3,
            "gs" => BucketProvider::Gcs,
            "az" => BucketProvider::Azure,
            _ => {
                let wrong = Wrong::new(format!("`{scheme}` is no kind of bucket"));
                return Err(wrong.help(
                    "use s3://, gs:// or az://; the address of a server of your own is `endpoint`",
                ));
            }
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if bucket.is_empty() || !bucket.bytes().all(is_name) {
            return Err(Wrong::new("this is not the name of a bucket"));
        }
        let prefix = prefix.trim_matches('/');
        let is_word = |part: &str| !part.is_empty() && part.bytes().all(is_name);
        if !prefix.is_empty() && !prefix.split('/').all(is_word) {
            return Err(Wrong::new(
                "a folder has letters, digits, hyphens, dots and underscores",
            ));
        }
        Ok(Self {
            provider,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl Meaning for StoreUrl {
    const WHAT: &'static str = "the URL of a server";
    const EXAMPLE: &'static str = "\"https://minio.internal:9000\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let url: Url = text.parse().map_err(|error| {
            let wrong = Wrong::new(error);
            if text.contains(['@', '?']) {
                wrong.secret()
            } else {
                wrong
            }
        })?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(Wrong::new("credentials come from the environment").secret());
        }
        if !matches!(url.scheme(), "http" | "https") || url.path() != "/" {
            return Err(Wrong::new(
                "a scheme, a host and perhaps a port are expected",
            ));
        }
        Ok(Self(url))
    }
}

impl Meaning for StoreRegion {
    const WHAT: &'static str = "the region of a bucket";
    const EXAMPLE: &'static str = "\"eu-west-1\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if text.is_empty() || text.len() > 63 || !text.bytes().all(is_word) {
            return Err(Wrong::new("a region has letters, digits and hyphens"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Meaning for KmsKey {
    const WHAT: &'static str = "the id, alias or ARN of a key";
    const EXAMPLE: &'static str = "\"alias/archway\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Wrong::new("this is not the name of a key"));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Meaning for RedirectFrom {
    const WHAT: &'static str = "a size with its unit, or \"off\"";
    const EXAMPLE: &'static str = "\"16MiB\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text == OFF {
            return Ok(Self(None));
        }
        Size::read(text).map(|Size(bytes)| Self(Some(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn tier(text: &str) -> Option<TierConfig> {
        Config::parse("tier.toml", text).unwrap().tier
    }

    #[test]
    fn without_the_section_there_is_no_tier() {
        assert_eq!(tier(""), None);
        assert!(Config::parse("tier.toml", "[tier]").is_err(), "no bucket");
    }

    #[test]
    fn a_bucket_has_a_provider_a_name_and_perhaps_a_folder() {
        let url = |text: &str| BucketUrl::read(text).map(|url| url.to_string());
        for text in ["s3://cache", "gs://cache/a/b", "az://cache/archway"] {
            assert_eq!(url(text).unwrap(), text);
        }
        assert_eq!(url("s3://cache/archway/").unwrap(), "s3://cache/archway");
        for text in ["cache", "http://cache", "s3://", "s3://ca che", "s3://a//b"] {
            assert!(url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_of_ones_own_is_asked_by_path() {
        let own = "[tier]\nurl = \"s3://cache\"\nendpoint = \"http://127.0.0.1:7070\"";
        assert!(tier(own).unwrap().path_style);
        assert!(!tier("[tier]\nurl = \"s3://cache\"").unwrap().path_style);
    }

    #[test]
    fn all_of_it_reads_back() {
        let text = "[tier]\nurl = \"s3://cache/archway\"\nregion = \"eu-west-1\"\n\
                    endpoint = \"https://s3.internal:9000\"\npath_style = false\n\
                    kms_key = \"alias/archway\"\nmax_size = \"1TiB\"\nkey_file = \"/run/key\"\n\
                    redirect = \"16MiB\"\nredirect_networks = [\"10.0.0.0/8\"]\n\
                    redirect_endpoint = \"https://s3.example\"";
        let config = Config::parse("tier.toml", text).unwrap();
        let printed = config.to_toml();
        assert_eq!(Config::parse("printed.toml", &printed).unwrap(), config);
    }
}
