//! Parts of a bundle find their places in any order, or are refused.

use super::*;
use crate::{Chain, Pieces, part_name, part_ranges};

/// A bundle as a file, and its layout.
fn bundle_of(store: &mut Store, size: usize) -> (Layout, Vec<u8>) {
    let lock = lock_of(store, &["linux/amd64", "linux/arm64"], size);
    let bytes = bytes_of(store, &lock);
    (Layout::new(&lock.to_bytes(), &lock).unwrap(), bytes)
}

/// The parts as files, each with its number.
fn parts_of(folder: &TempDir, bytes: &[u8], size: u64) -> Vec<(u64, File)> {
    let numbered = (1..).zip(part_ranges(bytes.len() as u64, size));
    let parts = numbered.map(|(number, range)| {
        let path = folder.path().join(part_name("site.tar", number));
        let [start, end] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
        fs::write(&path, &bytes[start..end]).unwrap();
        (number, File::open(path).unwrap())
    });
    parts.collect()
}

#[test]
fn parts_in_any_order_have_their_places() {
    let mut store = Store::new();
    let (layout, bytes) = bundle_of(&mut store, 70_000);
    for size in [4096, 50_000, layout.size() / 2, layout.size()] {
        let folder = TempDir::new().unwrap();
        let mut parts = parts_of(&folder, &bytes, size);
        parts.reverse();
        let pieces = Pieces::place(parts, &layout).unwrap();
        assert!(pieces.have(0..layout.size()));
        let mut found = Vec::new();
        for (file, at, range) in pieces.within(0..layout.size()) {
            let mut file = file;
            file.seek(SeekFrom::Start(at)).unwrap();
            file.take(range.end - range.start)
                .read_to_end(&mut found)
                .unwrap();
        }
        assert!(found == bytes, "{size}");
    }
}

#[test]
fn each_part_alone_has_its_place_the_last_one_too() {
    let mut store = Store::new();
    let (layout, bytes) = bundle_of(&mut store, 70_000);
    let size = 61_440;
    let folder = TempDir::new().unwrap();
    let ranges = part_ranges(layout.size(), size);
    for (part, range) in parts_of(&folder, &bytes, size).into_iter().zip(ranges) {
        let pieces = Pieces::place(vec![part], &layout).unwrap();
        assert!(pieces.have(range.clone()), "{range:?}");
        assert!(!pieces.have(0..layout.size()));
    }
}

#[test]
fn a_part_of_another_bundle_and_a_part_that_was_cut_are_refused() {
    let mut store = Store::new();
    let (layout, bytes) = bundle_of(&mut store, 70_000);
    let (_, other) = bundle_of(&mut Store::new(), 71_000);
    let size = 61_440;
    let folder = TempDir::new().unwrap();
    let stranger = parts_of(&folder, &other, size).remove(1);
    let error = Pieces::place(vec![stranger], &layout).unwrap_err();
    assert!(
        error.to_string().starts_with("part 2 does not belong"),
        "{error}"
    );

    let parts = parts_of(&folder, &bytes, size);
    let path = folder.path().join(part_name("site.tar", 2));
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(60_000)
        .unwrap();
    let error = Pieces::place(parts, &layout).unwrap_err();
    assert!(error.to_string().starts_with("part 2 "), "{error}");
}

#[test]
fn a_chain_of_parts_reads_as_the_whole() {
    let mut store = Store::new();
    let (_, bytes) = bundle_of(&mut store, 5000);
    let folder = TempDir::new().unwrap();
    let files = parts_of(&folder, &bytes, 4096).into_iter();
    let mut chain = Chain::new(files.map(|(_, file)| file).collect());
    let bundle = Bundle::open(&mut chain).unwrap();
    assert_eq!(verify(&bundle, &mut chain, |_| ()).unwrap(), []);
}
