//! `archway bundle sign`: puts a signature of minisign into the place reserved for it.

use std::{
    fs::{self, File},
    io::{self, Cursor, Seek, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bundle::{Bundle, BundleFiles, SIGNATURE_BYTES, named, signature_path, trusted_comment};
use clap::Args;
use minisign::{PublicKey, SecretKey, SecretKeyBox};

use super::{error::SignError, sums};
use crate::cli::output::{CommandOutput, Failure};

const HELP: &str = "\
The key is one of minisign: `minisign -G` makes a pair. The signature covers the lock, which names
every digest, and goes into a place that is reserved for it: no other byte changes, and the file is
not written anew. Of a bundle in parts, name the first part. A signature that is there is replaced.

A bundle can be checked with minisign alone:
  tar xf site.tar archway/lock.json archway/lock.json.minisig
  minisign -V -p site.pub -m archway/lock.json

Exit codes: 0 signed; 2 the bundle or the key cannot be used.

Examples:
  archway bundle sign site.tar --key ~/.minisign/minisign.key
  archway bundle sign site.tar.001 --key site.key --password-file /run/secrets/site";

/// Where a secret key says how its password becomes a key; zeros for none.
const KEY_DERIVATION: std::ops::Range<usize> = 2..4;

/// Sign a bundle in place
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Sign {
    #[arg(
        help = "The bundle, or its first part",
        value_name = "FILE",
        required = true
    )]
    files: Vec<PathBuf>,
    /// Secret key of minisign
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// File with the password of the key, which is asked for otherwise
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Sign {
    pub(crate) fn run(&self) -> Result<CommandOutput, Failure> {
        let sign = || {
            let key = self.secret_key()?;
            let bundles = BundleFiles::group(&self.files)?.into_iter();
            bundles.map(|files| sign_in_place(&files, &key)).collect()
        };
        let lines: Result<String, SignError> = sign();
        let lines = lines.map_err(|error| Failure::unusable(&error))?;
        Ok(CommandOutput::success(lines))
    }

    fn secret_key(&self) -> Result<SecretKey, SignError> {
        let read = |path: &Path| {
            let read = fs::read_to_string(path);
            read.map_err(|source| SignError::Key {
                path: path.to_owned(),
                source: Box::new(source),
            })
        };
        let text = read(&self.key)?;
        let password = match &self.password_file {
            Some(path) => Some(read(path)?.trim_end_matches(['\r', '\n']).to_owned()),
            None => None,
        };
        let key = match without_password(&text) {
            Some(key) => Ok(key),
            None => SecretKey::from_box(SecretKeyBox::from(text), password),
        };
        key.map_err(|source| SignError::Key {
            path: self.key.clone(),
            source: Box::new(source),
        })
    }
}

/// The key of `minisign -G -W`, which has neither a password nor a checksum. That it is damaged shows
/// when the signature is checked.
fn without_password(text: &str) -> Option<SecretKey> {
    let bytes = STANDARD.decode(text.lines().nth(1)?.trim()).ok()?;
    let is_plain = bytes.get(KEY_DERIVATION)?.iter().all(|&byte| byte == 0);
    is_plain.then(|| SecretKey::from_bytes(&bytes).ok())?
}

fn sign_in_place(files: &BundleFiles, key: &SecretKey) -> Result<String, SignError> {
    let Some(first) = files.first() else {
        return Err(SignError::NotFirst {
            path: files.path().to_owned(),
        });
    };
    let bundle = files.open()?.bundle;
    let comment = trusted_comment(bundle.lock(), bundle.lock_bytes());
    let lock = Cursor::new(bundle.lock_bytes());
    let public = PublicKey::from_secret_key(key).map_err(SignError::Signature)?;
    let signature = minisign::sign(Some(&public), key, lock, Some(&comment), None);
    let text = signature.map_err(SignError::Signature)?.into_string();
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| SignError::Write { path, source }
    };
    write_slot(first, &bundle, &text).map_err(failed(first))?;
    if let BundleFiles::Parts { stem, .. } = files {
        let signature = signature_path(stem);
        sums::put(&signature, text.as_bytes()).map_err(failed(&signature))?;
        sums::replace_sum(stem, first).map_err(failed(stem))?;
    }
    let number = named(&text).map(|number| number.to_string());
    Ok(format!(
        "{}: signed by the key {}\nbundle {}\n",
        files.path().display(),
        number.unwrap_or_default(),
        bundle.id()
    ))
}

/// Writes the signature and nothing else. A crash may leave part of an older one and part of this:
/// such a mixture is refused as wrong, and the bundle can be signed again.
fn write_slot(path: &Path, bundle: &Bundle, text: &str) -> io::Result<()> {
    let mut slot = text.as_bytes().to_vec();
    slot.resize(
        usize::try_from(SIGNATURE_BYTES).unwrap_or(slot.len()),
        b'\n',
    );
    let mut file = File::options().write(true).open(path)?;
    let at = bundle.layout().signature_at();
    if file.metadata()?.len() < at + SIGNATURE_BYTES {
        let text = "the place of the signature is beyond the first part; join the parts first";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&slot)?;
    file.sync_all()
}
