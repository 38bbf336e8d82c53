//! libFuzzer calls `rail_fuzz::arp`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rail_fuzz::arp(data));
