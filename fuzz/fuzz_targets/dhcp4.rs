//! libFuzzer calls `rail_fuzz::dhcp4`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rail_fuzz::dhcp4(data));
