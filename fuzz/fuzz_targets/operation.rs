#![no_main]

#[path = "../../rust/core/tests/fuzz/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| targets::operation(data));
