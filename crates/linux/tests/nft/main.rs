//! Our nftables table against the kernel, with `nft` as the oracle: what the
//! core writes is taken, what is read back is what stands there, and what
//! others put into our chains survives every repair. Each test runs in a
//! network namespace of its own, which ends with its thread. Needs root.
#![expect(clippy::unwrap_used, reason = "a test")]

mod buckets;
mod monitor;
mod tables;

use rail_core::state::{
    Base, Chain, ChainKind, Firewall, Hook, NFT_TABLE, ObservedFirewall, ObservedNftRule, Scope,
    firewall,
};
use rail_linux::nft::{Monitor, Nft};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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

fn try_nft(script: &str) -> Result<String, String> {
    let mut child = Command::new("nft")
        .args(["-a", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if out.status.success() { Ok(text(out.stdout)) } else { Err(text(out.stderr)) }
}

fn nft(script: &str) -> String {
    try_nft(script).unwrap_or_else(|e| panic!("{script}\n{e}"))
}

fn base(name: &str, kind: ChainKind, hook: Hook, priority: i32, rules: &[&str]) -> Chain {
    Chain { base: Some(Base { kind, hook, priority }), ..plain(name, rules) }
}

fn plain(name: &str, rules: &[&str]) -> Chain {
    Chain { name: name.into(), base: None, rules: rules.iter().map(|r| (*r).into()).collect() }
}

/// Every form of rule that the core renders, and every way to look a bucket up.
fn desired() -> Firewall {
    let hash = "meta mark set jhash";
    let chains = vec![
        plain("mark_isp1", &["meta mark set meta mark and 0x80ffffff or 0x01000000"]),
        plain(
            "from_isp1",
            &[
                "ct mark set ct mark and 0x80ffffff or 0x01000000",
                "ip daddr 100.64.1.2 tcp dport 8080 dnat ip to 192.168.1.10:80",
            ],
        ),
        base(
            "restore",
            ChainKind::Filter,
            Hook::Prerouting,
            -150,
            &[
                "meta mark 0x00000000 ct mark and 0x7f000000 != 0x00000000 \
                 meta mark set ct mark and 0x7f000000 accept",
                "meta mark != 0x00000000 meta mark and 0x7f000000 == 0x00000000 \
                 ct mark and 0x7f000000 vmap { 0x01000000 : goto mark_isp1 }",
            ],
        ),
        base(
            "classify",
            ChainKind::Nat,
            Hook::Prerouting,
            -100,
            &[
                "iifname vmap { \"wan1\" : goto from_isp1 }",
                "meta mark 0x00000000 meta mark set numgen inc mod 64 map @slots",
                &format!("{hash} ip saddr mod 256 seed 0x7261696c map @slots"),
                &format!("{hash} ip saddr . ip daddr mod 128 seed 0x7261696c map @slots"),
                &format!("{hash} ip6 saddr mod 4096 seed 0x7261696c map @slots"),
                &format!("{hash} ip6 saddr . ip6 daddr mod 4096 seed 0x7261696c map @slots"),
            ],
        ),
        base(
            "translate",
            ChainKind::Nat,
            Hook::Postrouting,
            100,
            &["oifname \"wan1\" ct mark set ct mark and 0x80ffffff or 0x01000000 \
               meta nfproto ipv4 snat ip to 100.64.1.2"],
        ),
        plain("wan_input", &["ct state established,related accept", "counter drop"]),
        base(
            "input",
            ChainKind::Filter,
            Hook::Input,
            0,
            &["iifname vmap { \"wan1\" : goto wan_input }"],
        ),
        base(
            "forward",
            ChainKind::Filter,
            Hook::Forward,
            0,
            &[
                "ct status assured accept",
                "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu",
                "ct state invalid oifname { \"wan1\" } drop",
            ],
        ),
    ];
    Firewall::new(chains, BTreeMap::new())
}

/// Brings the table to `want` and checks that one pass was enough.
fn mend(kernel: &mut Nft, want: &Firewall) -> ObservedFirewall {
    let before = kernel.observe().unwrap();
    if let Some(script) = firewall::script(want, before.as_ref()) {
        nft(&script);
    }
    let after = kernel.observe().unwrap().unwrap();
    assert_eq!(firewall::script(want, Some(&after)), None, "a second pass has work");
    for chain in &want.chains {
        let stamps: Vec<u64> =
            chain.rules.iter().map(|r| firewall::stamp(&chain.name, r)).collect();
        assert_eq!(ours(&after, &chain.name), stamps, "{}", chain.name);
        assert_eq!(after.chains[&chain.name].base, chain.base, "{}", chain.name);
    }
    after
}

fn ours(observed: &ObservedFirewall, chain: &str) -> Vec<u64> {
    observed.chains[chain].rules.iter().filter_map(|rule| rule.stamp).collect()
}

fn rules(observed: &ObservedFirewall, chain: &str) -> Vec<ObservedNftRule> {
    observed.chains[chain].rules.clone()
}
