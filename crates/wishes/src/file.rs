//! [`Wishes`]: the list with its file.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use parking_lot::Mutex;
use protocol::image_list::ListedImage;

use crate::{
    table::Table,
    wish::{Wish, WishList, seconds},
};

/// Nobody else on the machine reads it.
const MODE: u32 = 0o600;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read or written.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its content is no list of wishes.
    #[error("{} is no list of wishes", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first fault in it.
        source: serde_json::Error,
    },
}

/// The wish list of a site. Cheap to clone; all clones are the same list.
#[derive(Clone, Debug)]
pub struct Wishes {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    list: Mutex<List>,
    /// One writer at a time.
    writing: Mutex<()>,
}

#[derive(Debug, Default)]
struct List {
    table: Table,
    /// Whether it differs from its file.
    is_changed: bool,
}

impl Wishes {
    /// An empty list that will be written to `path`.
    pub fn empty(path: PathBuf) -> Self {
        Self::of(path, Table::default())
    }

    /// The list in the file at `path`; an empty one if there is none.
    pub fn open(path: PathBuf) -> Result<Self, FileError> {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::empty(path)),
            Err(source) => return Err(FileError::Io { path, source }),
        };
        let read: WishList = match serde_json::from_slice(&bytes) {
            Ok(read) => read,
            Err(source) => return Err(FileError::Damaged { path, source }),
        };
        let mut table = Table::default();
        for wish in read.wishes {
            table.put(wish.image.to_string(), wish);
        }
        Ok(Self::of(path, table))
    }

    fn of(path: PathBuf, table: Table) -> Self {
        let list = List {
            table,
            is_changed: false,
        };
        Self {
            shared: Arc::new(Shared {
                path,
                list: Mutex::new(list),
                writing: Mutex::default(),
            }),
        }
    }

    /// Notes that a client has asked for an image that is not here. An image without a registry, or
    /// one whose text would not read back, is not noted: false.
    pub fn note(&self, image: ListedImage, now: SystemTime) -> bool {
        let reads_back = || image.to_string().parse().is_ok_and(|read| image == read);
        if image.name.host.is_none() || !reads_back() {
            return false;
        }
        let mut list = self.shared.list.lock();
        list.table.note(image, seconds(now));
        list.is_changed = true;
        true
    }

    /// The wishes, or those of them that were made at `since` or later.
    pub fn list(&self, since: Option<SystemTime>) -> WishList {
        let since = since.map_or(0, seconds);
        let list = self.shared.list.lock();
        let wishes = list.table.all().filter(|wish| wish.last >= since);
        WishList {
            wishes: wishes.cloned().collect(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.shared.list.lock().table.len()
    }

    /// Drops the wishes that are `granted`. Those made again meanwhile stay.
    pub fn forget(&self, granted: impl Fn(&ListedImage) -> bool) {
        // Without the lock: a look into the cache takes its time.
        let before = self.list(None).wishes;
        let due = before.into_iter().filter(|wish| granted(&wish.image));
        let due: Vec<Wish> = due.collect();
        let mut list = self.shared.list.lock();
        for wish in due {
            let key = wish.image.to_string();
            match list.table.take(&key) {
                Some(now) if now.times > wish.times => list.table.put(key, now),
                Some(_) => list.is_changed = true,
                None => {}
            }
        }
    }

    /// Writes the list to its file, unless it is there already. After a crash the file has the list
    /// before or this one. Blocks.
    pub fn save(&self) -> Result<(), FileError> {
        let Shared { path, .. } = &*self.shared;
        let _one = self.shared.writing.lock();
        if !std::mem::take(&mut self.shared.list.lock().is_changed) {
            return Ok(());
        }
        let text =
            serde_json::to_vec(&self.list(None)).expect("texts and numbers always serialise");
        replace(path, &text).map_err(|source| {
            self.shared.list.lock().is_changed = true;
            FileError::Io {
                path: path.clone(),
                source,
            }
        })
    }
}

/// Puts `text` in the place of what the file has.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(MODE);
    let mut file = options.open(&new)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, time::Duration};

    use super::*;

    fn image(line: &str) -> ListedImage {
        line.parse().unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_list_survives_its_process_as_last_saved() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wishes.json");
        let wishes = Wishes::open(path.clone()).unwrap();
        wishes.save().unwrap();
        assert!(!path.exists(), "nothing to write");
        assert!(wishes.note(image("quay.io/a:1 linux/arm64"), at(50)));
        assert!(wishes.note(image("quay.io/a:1 linux/arm64"), at(60)));
        wishes.save().unwrap();
        let saved = wishes.list(None);
        wishes.note(image("quay.io/b:1"), at(70));
        let again = Wishes::open(path.clone()).unwrap();
        assert_eq!(again.list(None), saved);
        assert_eq!(saved.wishes[0].times, 2);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_no_list_is_an_error_and_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wishes.json");
        for text in [
            "",
            "[]",
            r#"{"wishes":[{"image":"A b","times":1,"first":"2026-11-29T00:00:00Z","last":"2026-11-29T00:00:00Z"}]}"#,
        ] {
            fs::write(&path, text).unwrap();
            let error = Wishes::open(path.clone()).unwrap_err();
            assert!(matches!(error, FileError::Damaged { .. }), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn what_cannot_be_written_as_a_line_is_not_noted() {
        let wishes = Wishes::empty("nowhere".into());
        assert!(!wishes.note(image("hello"), at(1)), "without a registry");
        let mut odd = image("quay.io/a:1 linux/arm64");
        odd.platform.as_mut().unwrap().os = "a\nb # c".to_owned();
        assert!(!wishes.note(odd, at(1)));
        assert_eq!(wishes.count(), 0);
    }

    #[test]
    fn granted_wishes_go_and_those_made_again_meanwhile_stay() {
        let wishes = Wishes::empty("nowhere".into());
        for line in ["quay.io/a:1", "quay.io/b:1", "quay.io/c:1"] {
            wishes.note(image(line), at(1));
        }
        wishes.forget(|granted| {
            if granted.name.repository.as_str() == "b" {
                wishes.note(image("quay.io/b:1"), at(2));
            }
            granted.name.repository.as_str() != "c"
        });
        let left = wishes.list(None).to_string();
        assert!(
            left.contains("quay.io/b:1") && left.contains("quay.io/c:1"),
            "{left}"
        );
        assert!(!left.contains("quay.io/a:1"), "{left}");
    }

    #[test]
    fn a_list_since_a_time_has_what_was_wished_for_since() {
        let wishes = Wishes::empty("nowhere".into());
        wishes.note(image("quay.io/a:1"), at(100));
        wishes.note(image("quay.io/b:1"), at(200));
        assert_eq!(wishes.list(Some(at(150))).wishes.len(), 1);
        assert_eq!(wishes.list(Some(at(100))).wishes.len(), 2);
        assert!(wishes.list(Some(at(201))).wishes.is_empty());
    }
}
