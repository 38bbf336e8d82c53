//! libFuzzer calls `rail_fuzz::nfnetlink`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rail_fuzz::nfnetlink(data));
