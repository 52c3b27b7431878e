//! No lock panics. One that is valid is read back from what it is written as, and has a layout or is
//! refused for one.
#![no_main]

use bundle::{Layout, Lock};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(lock) = Lock::parse(bytes) else {
        return;
    };
    let written = lock.to_bytes();
    assert_eq!(Lock::parse(&written).expect("it was valid"), lock);
    if let Ok(layout) = Layout::new(&written, &lock) {
        for (_, size, at) in layout.carried() {
            assert!(at % 4096 == 0 && at + size <= layout.size());
        }
    }
});
