//! libFuzzer calls `rail_fuzz::router`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rail_fuzz::router(data));
