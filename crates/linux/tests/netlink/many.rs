//! Beside a full Internet table.

use super::{RequestSocket, batch, in_new_netns, ip};
use rail_core::Watch;
use rail_core::state::{MainDefault, Scope};
use std::fmt::Write;

fn fill_main() {
    let mut lines = String::new();
    for n in 0..100_000_u32 {
        let (a, b, c) = (n >> 16, n >> 8 & 255, n & 255);
        let _ = writeln!(lines, "route add {}.{b}.{c}.0/24 dev wan1", 11 + a);
    }
    batch(&lines);
}

/// Given a hundred thousand routes in the table `main`, when our routes are read, then only the first
/// reading goes through them all; the next ones ask for the tables in use, whatever the range.
#[test]
fn a_full_table_is_read_once() {
    in_new_netns(|| {
        fill_main();
        ip("route add default via 100.64.1.1 dev wan1 table 20001 proto 82");
        let watch = Watch {
            tables: (20_000, 20_999),
            used_tables: (20_000..=20_003).collect(),
            ..Watch::default()
        };
        let mut socket = RequestSocket::open().unwrap();
        let mut read = || {
            let before = socket.counters().messages;
            let seen = socket.observe(Scope::ROUTES, &watch).unwrap();
            assert_eq!(seen.routes.len(), 1);
            socket.counters().messages - before
        };
        let (first, second) = (read(), read());
        assert!(first > 100_000, "{first} messages");
        assert!(second < 100, "{second} messages");
    });
}

/// Given a hundred thousand routes in `main`, and then an error route for everything behind a default
/// or alone, when it is asked what `main` does with the rest, then no reading takes them all; what is
/// read next is right.
#[test]
fn the_default_of_a_full_table_is_read_alone() {
    in_new_netns(|| {
        fill_main();
        ip("route add 0.0.0.0/8 dev wan1");
        let mut socket = RequestSocket::open().unwrap();
        let mut read = || {
            let before = socket.counters().messages;
            let main = socket.observe(Scope::MAIN, &Watch::default()).unwrap().main;
            (main, socket.counters().messages - before)
        };
        let (main, messages) = read();
        assert!(main == MainDefault::Passable && messages < 2000, "{main:?}, {messages} messages");
        ip("route add default via 100.64.1.1 dev wan1 metric 100");
        for kind in ["blackhole", "unreachable", "prohibit"] {
            ip(&format!("route add {kind} default metric 4278198272"));
            let (main, messages) = read();
            assert!(matches!(main, MainDefault::Refuses { others: None, .. }), "{main:?}");
            assert!(messages < 20_000, "{messages} messages");
            ip("route del default metric 4278198272");
        }
        ip("route replace blackhole default metric 5");
        let (main, messages) = read();
        assert!(matches!(main, MainDefault::Refuses { others: None, .. }), "{main:?}");
        assert!(messages < 20_000, "{messages} messages");
    });
}
