//! libFuzzer calls `rail_fuzz::news`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rail_fuzz::news(data));
