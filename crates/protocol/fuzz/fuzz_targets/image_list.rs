#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::image_list;

fuzz_target!(|text: &str| {
    if let Ok(images) = image_list::parse(text) {
        let lines: Vec<_> = images.iter().map(ToString::to_string).collect();
        assert_eq!(image_list::parse(&lines.join("\n")).unwrap(), images);
    }
});
