//! No file panics that is read as a bundle, whatever follows the beginning that every bundle has.
#![no_main]

use bundle::{Bundle, StreamError, each_blob, verify};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut source = bytes;
    let Ok(bundle) = Bundle::open(&mut source) else {
        return;
    };
    let mut blobs = source;
    let _ = each_blob(&bundle, &mut blobs, |_, _, _| Ok::<_, StreamError>(()));
    let _ = verify(&bundle, &mut source, |_| ());
});
