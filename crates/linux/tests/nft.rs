//! Our table in the real kernel, with the real `nft` as the writer and the judge.

use rail_core::state::{Base, Chain, ChainKind, Firewall, Hook, ObservedFirewall, Scope, firewall};
use rail_linux::nft::{Monitor, Nft};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// Runs `test` in a thread that is alone in a new network namespace.
#[expect(unsafe_code, reason = "rustix declares unshare unsafe because of CLONE_FILES")]
fn in_new_netns(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: only the network namespace of this thread changes.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
            .expect("these tests need root, or `unshare -rn`");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn nft(script: &str) {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{script}");
}

fn list() -> String {
    let out = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

fn desired() -> Firewall {
    let base = |kind, hook, priority| Some(Base { kind, hook, priority });
    let chain = |name: &str, base, rules: &[&str]| Chain {
        name: name.into(),
        base,
        rules: rules.iter().map(|r| (*r).into()).collect(),
    };
    Firewall {
        chains: vec![
            chain("wan", None, &["ct state established accept", "counter drop"]),
            chain(
                "forward",
                base(ChainKind::Filter, Hook::Forward, 0),
                &["ct status assured accept", "iifname vmap { \"wan1\" : goto wan }", "accept"],
            ),
            chain(
                "classify",
                base(ChainKind::Nat, Hook::Prerouting, -100),
                &[
                    "meta mark 0x00000000 meta mark set numgen inc mod 128 map @slots",
                    "meta nfproto ipv4 meta mark 0x00000000 meta mark set jhash ip saddr mod 128 seed 0x7261696c map @slots",
                    "meta nfproto ipv6 meta mark 0x00000000 meta mark set jhash ip6 saddr . ip6 daddr mod 64 seed 0x7261696c map @slots",
                ],
            ),
        ],
    }
}

fn settle(kernel: &mut Nft) -> ObservedFirewall {
    let observed = kernel.observe().unwrap();
    if let Some(script) = firewall::script(&desired(), observed.as_ref()) {
        nft(&script);
    }
    let observed = kernel.observe().unwrap().unwrap();
    assert_eq!(
        firewall::script(&desired(), Some(&observed)),
        None,
        "the second time changes nothing"
    );
    observed
}

/// Given any disturbance, when the script is applied, then ours is back and what is foreign stays.
#[test]
fn disturbances_are_mended() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        assert_eq!(kernel.observe().unwrap(), None);
        let first = settle(&mut kernel);
        assert_eq!(first.chains["forward"].rules.len(), 3);
        let whole = list();

        let handle = first.chains["forward"].rules[1].handle;
        nft(&format!("delete rule inet rail forward handle {handle}"));
        settle(&mut kernel);
        assert_eq!(list(), whole, "a deleted rule is back in its place");

        nft("flush chain inet rail forward");
        settle(&mut kernel);
        assert_eq!(list(), whole);

        nft("delete table inet rail");
        settle(&mut kernel);
        assert_eq!(list(), whole);

        nft("flush ruleset");
        settle(&mut kernel);
        assert_eq!(list(), whole);

        let handle = kernel.observe().unwrap().unwrap().chains["forward"].rules[1].handle;
        nft(&format!(
            "insert rule inet rail forward meta mark 7 drop comment \"first\"\n\
             add rule inet rail forward handle {handle} meta mark 8 drop comment \"middle\"\n\
             add rule inet rail forward meta mark 9 drop comment \"last\"\n\
             add table ip other\n"
        ));
        let disturbed = list();
        let handle = kernel.observe().unwrap().unwrap().chains["forward"].rules[1].handle;
        nft(&format!("delete rule inet rail forward handle {handle}"));
        let mended = settle(&mut kernel);
        assert_eq!(list(), disturbed, "foreign rules keep their places");
        nft(&firewall::removal(&mended));
        let left = list();
        assert!(left.contains("first") && left.contains("middle") && left.contains("last"));
        assert!(!left.contains("rail:") && left.contains("table ip other"));
    });
}

/// Given slots, when they are changed in one batch, then `nft` lists them in host order; a wrong
/// idea of what is there does not matter.
#[test]
fn slots_are_changed_in_one_batch() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        settle(&mut kernel);
        let all: Vec<(u32, u32)> = (0..4096).map(|slot| (slot, (slot % 3 + 1) << 24)).collect();
        kernel.set_slots(&[], &all).unwrap();
        let want: BTreeMap<u32, u32> = all.iter().copied().collect();
        assert_eq!(kernel.observe().unwrap().unwrap().slots, Some(want));
        assert!(list().contains("5 : 0x03000000"), "the key is in host order");

        kernel.set_slots(&[(0, 1 << 24), (3, 1 << 24)], &[(0, 9), (3, 9)]).unwrap();
        let now = kernel.observe().unwrap().unwrap().slots.unwrap();
        assert_eq!((now[&0], now[&3], now.len()), (9, 9, 4096));

        // As if somebody had removed one and changed another since we looked.
        nft("delete element inet rail slots { 1 }\n");
        kernel.set_slots(&[(1, 2 << 24), (2, 7)], &[(1, 5), (2, 5)]).unwrap();
        let now = kernel.observe().unwrap().unwrap().slots.unwrap();
        assert_eq!((now[&1], now[&2]), (5, 5));
    });
}

/// Given changes by us and by others, then only those of others in our table are reported.
#[test]
fn only_changes_by_others_are_heard() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        settle(&mut kernel);
        let mut monitor = Monitor::open(vec![kernel.port()]).unwrap();
        kernel.set_slots(&[], &[(1, 1)]).unwrap();
        assert_eq!(monitor.drain(), Scope::NONE);
        nft("add table ip other\nadd chain ip other c\n");
        assert_eq!(monitor.drain(), Scope::NONE);
        nft("flush map inet rail slots\n");
        assert_eq!(monitor.drain(), Scope::FIREWALL);
        nft("flush ruleset\n");
        assert_eq!(monitor.drain(), Scope::FIREWALL);
        assert_eq!(monitor.drain(), Scope::NONE);
    });
}
