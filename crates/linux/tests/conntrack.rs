//! Purging the kernel's connection table, with `conntrack(8)` as the oracle.
#![expect(clippy::unwrap_used, reason = "a test")]

use rail_core::net::UplinkId;
use rail_core::{Purge, Which};
use rail_linux::conntrack::{count_by_mark, purge};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::Command;

#[expect(unsafe_code, reason = "rustix declares unshare unsafe because of CLONE_FILES")]
fn in_new_netns<F: FnOnce() + Send + 'static>(test: F) {
    let thread = std::thread::spawn(|| {
        // SAFETY: only the network namespace of this thread changes; the file table stays shared.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
            .expect("these tests need root");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn conntrack(words: &str) -> String {
    let out = Command::new("conntrack").args(words.split_whitespace()).output().unwrap();
    assert!(out.status.success(), "{words}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn insert(source: &str, destination: &str, port: u32, mark: u32, more: &str) {
    conntrack(&format!(
        "-I -s {source} -d {destination} -p tcp --sport {port} --dport 80 --state ESTABLISHED \
         -t 600 -u SEEN_REPLY,ASSURED -m {mark} {more}"
    ));
}

fn list() -> String {
    conntrack("-L -f ipv4") + &conntrack("-L -f ipv6")
}

fn first_uplink() -> Purge {
    Purge {
        uplink: UplinkId(1),
        mark: 0x10000,
        mask: 0xff0000,
        which: Which::Movable,
        keep_sources: vec!["192.0.2.9".parse().unwrap()],
        keep_destinations: vec!["192.0.2.9/32".parse().unwrap(), "10.8.0.0/16".parse().unwrap()],
        yields: true,
    }
}

/// Connections from these ports stay, and those from the others have gone.
#[track_caller]
fn assert_left(stay: &[u16], gone: &[u16]) {
    let left = list();
    for (ports, is_left) in [(stay, true), (gone, false)] {
        for port in ports {
            let found = left.contains(&format!("sport={port}"));
            assert_eq!(found, is_left, "is {port} in {left}");
        }
    }
}

#[test]
fn what_can_move_goes_and_the_rest_stays() {
    in_new_netns(|| {
        insert("10.0.0.2", "198.51.100.1", 1001, 0x10000, "");
        insert("10.0.0.2", "198.51.100.2", 1002, 0x10007, "");
        insert("2001:db8::2", "2001:db8:1::1", 1003, 0x10000, "");
        insert("10.0.0.2", "198.51.100.3", 1004, 0x20000, "");
        insert("10.0.0.2", "198.51.100.4", 1005, 0, "");
        insert("192.0.2.9", "198.51.100.5", 1006, 0x10000, "");
        insert("198.51.100.6", "192.0.2.9", 1007, 0x10000, "");
        insert("10.0.0.2", "10.8.3.4", 1008, 0x10000, "");
        insert("198.51.100.7", "203.0.113.1", 1009, 0x10000, "--dst-nat 10.0.0.2");
        insert("10.0.0.2", "198.51.100.8", 1010, 0x10000, "--orig-zone 5");
        insert("10.0.0.2", "198.51.100.9", 1011, 0x10000, "-w 6");
        let before = BTreeMap::from([(0, 1), (0x10000, 9), (0x20000, 1)]);
        assert_eq!(count_by_mark(0xff0000).unwrap(), before, "{}", list());
        assert_eq!(purge(&first_uplink(), || true).unwrap(), 5, "{}", list());
        assert_left(&[1004, 1005, 1006, 1007, 1008, 1009], &[1001, 1002, 1003, 1010, 1011]);
        assert_eq!(purge(&first_uplink(), || true).unwrap(), 0);
    });
}

#[test]
fn what_has_an_address_that_is_gone_goes() {
    in_new_netns(|| {
        insert("10.0.0.2", "198.51.100.1", 1001, 0x10000, "--src-nat 100.64.1.2");
        insert("10.0.0.2", "198.51.100.2", 1002, 0x10000, "--src-nat 100.64.1.3");
        insert("10.0.0.2", "198.51.100.3", 1003, 0x20000, "--src-nat 100.64.1.2");
        insert("198.51.100.4", "100.64.1.2", 1004, 0x10000, "--dst-nat 10.0.0.2");
        insert("198.51.100.5", "100.64.1.3", 1005, 0x10000, "--dst-nat 10.0.0.2");
        let gone = "100.64.1.2".parse().unwrap();
        for which in [Which::From(gone), Which::At(gone)] {
            assert_eq!(
                purge(&Purge { which, ..first_uplink() }, || true).unwrap(),
                1,
                "{}",
                list()
            );
        }
        assert_left(&[1002, 1003, 1005], &[1001, 1004]);
        assert_eq!(count_by_mark(u32::MAX).unwrap(), BTreeMap::from([(0x10000, 2), (0x20000, 1)]));
    });
}

#[test]
fn many_go_in_batches() {
    in_new_netns(|| {
        for port in 0..200 {
            insert("10.0.0.2", "198.51.100.1", 2000 + port, 0x10000, "");
        }
        insert("10.0.0.2", "198.51.100.1", 1999, 0x20000, "");
        assert_eq!(purge(&first_uplink(), || true).unwrap(), 200);
        assert_eq!(count_by_mark(u32::MAX).unwrap(), BTreeMap::from([(0x20000, 1)]));
    });
}

/// Given an uplink that returns while its connections are read, or after some were deleted, then those
/// that are left stay.
#[test]
fn what_is_called_off_stays() {
    in_new_netns(|| {
        for port in 0..200 {
            insert("10.0.0.2", "198.51.100.1", 2000 + port, 0x10000, "");
        }
        let wanted_until = |asked: u32| {
            let count = Cell::new(0);
            move || count.replace(count.get() + 1) < asked
        };
        assert_eq!(purge(&first_uplink(), wanted_until(0)).unwrap(), 0);
        assert_eq!(purge(&first_uplink(), wanted_until(1)).unwrap(), 0);
        assert_eq!(count_by_mark(u32::MAX).unwrap(), BTreeMap::from([(0x10000, 200)]));
        let some = purge(&first_uplink(), wanted_until(2)).unwrap();
        assert!((1..200).contains(&some), "{some}");
        let left = BTreeMap::from([(0x10000, u64::from(200 - some))]);
        assert_eq!(count_by_mark(u32::MAX).unwrap(), left);
    });
}

#[test]
fn an_empty_table_is_no_error() {
    in_new_netns(|| {
        assert_eq!(purge(&first_uplink(), || true).unwrap(), 0);
        assert_eq!(count_by_mark(u32::MAX).unwrap(), BTreeMap::new());
    });
}
