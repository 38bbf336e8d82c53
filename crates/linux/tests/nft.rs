//! Our nftables table against the kernel, with `nft` as the oracle: what the
//! core writes is taken, what is read back is what stands there, and what
//! others put into our chains survives every repair. Each test runs in a
//! network namespace of its own, which ends with its thread. Needs root.
#![expect(clippy::unwrap_used, reason = "a test")]

use rail_core::state::{
    Base, Chain, ChainKind, Firewall, Hook, ObservedFirewall, ObservedNftRule, Scope, firewall,
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

/// Every form of rule that the core renders, and every way to look a slot up.
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
        plain(
            "to_isp1",
            &["ct mark set ct mark and 0x80ffffff or 0x01000000 meta nfproto ipv4 \
               snat ip to 100.64.1.2"],
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
            &["oifname vmap { \"wan1\" : goto to_isp1 }"],
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
    Firewall { chains }
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

#[test]
fn from_nothing_and_nothing_twice() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        assert_eq!(kernel.observe().unwrap(), None);
        let made = mend(&mut kernel, &desired());
        assert_eq!(made.slots, Some(BTreeMap::new()));
        assert_eq!(made.chains.len(), desired().chains.len());
        // The oracle shows each handle with its stamp, in this order.
        let listed = nft("list table inet rail");
        for (name, chain) in &made.chains {
            for rule in &chain.rules {
                let stamp = format!(
                    "comment \"rail:{:016x}\" # handle {}",
                    rule.stamp.unwrap(),
                    rule.handle
                );
                assert!(listed.contains(&stamp), "{name}: {stamp} not in {listed}");
            }
        }
        assert!(listed.contains("type filter hook prerouting priority mangle; policy accept;"));
        nft("delete table inet rail");
        assert_eq!(kernel.observe().unwrap(), None);
        mend(&mut kernel, &desired());
    });
}

#[test]
fn each_lost_rule_returns_and_no_other_is_touched() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        let first = mend(&mut kernel, &desired());
        for (name, chain) in &first.chains {
            for at in 0..chain.rules.len() {
                let before = rules(&kernel.observe().unwrap().unwrap(), name);
                nft(&format!("delete rule inet rail {name} handle {}", before[at].handle));
                let mut after = rules(&mend(&mut kernel, &desired()), name);
                assert_eq!(after.remove(at).stamp, before[at].stamp);
                let mut rest = before;
                rest.remove(at);
                assert_eq!(after, rest, "{name}");
            }
        }
    });
}

#[test]
fn foreign_rules_stay_where_they_are() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        let first = mend(&mut kernel, &desired());
        let own = rules(&first, "forward");
        nft("insert rule inet rail forward ip saddr 10.0.0.1 accept comment \"mine\"");
        nft(&format!(
            "add rule inet rail forward position {} ip saddr 10.0.0.2 drop",
            own[0].handle
        ));
        nft("add rule inet rail forward ip saddr 10.0.0.3 counter comment \"rail: not a stamp\"");
        let with = kernel.observe().unwrap().unwrap();
        assert_eq!(firewall::script(&desired(), Some(&with)), None);
        let shape = |observed: &ObservedFirewall| -> Vec<Option<u64>> {
            rules(observed, "forward").iter().map(|rule| rule.stamp).collect()
        };
        let foreign = |observed: &ObservedFirewall| -> Vec<u64> {
            let all = rules(observed, "forward");
            all.iter().filter(|rule| rule.stamp.is_none()).map(|rule| rule.handle).collect()
        };
        let expected = [None, own[0].stamp, None, own[1].stamp, own[2].stamp, None];
        assert_eq!(shape(&with), expected);
        // Any of ours gone, then all of them: the others keep their handles and their order.
        for rule in &own {
            nft(&format!("delete rule inet rail forward handle {}", rule.handle));
            let after = mend(&mut kernel, &desired());
            assert_eq!(foreign(&after), foreign(&with));
        }
        for rule in rules(&kernel.observe().unwrap().unwrap(), "forward") {
            if rule.stamp.is_some() {
                nft(&format!("delete rule inet rail forward handle {}", rule.handle));
            }
        }
        assert_eq!(foreign(&mend(&mut kernel, &desired())), foreign(&with));
        // A chain that is no longer wanted stays for their sake, without our rules.
        let mut fewer = desired();
        fewer.chains.retain(|chain| chain.name != "forward");
        let left = mend(&mut kernel, &fewer);
        assert_eq!(shape(&left), [None; 3]);
        nft(&firewall::removal(&left));
        let left = kernel.observe().unwrap().unwrap();
        assert_eq!(foreign(&left), foreign(&with));
        assert!(!firewall::has_ours(&left), "{left:?}");
    });
}

#[test]
fn what_is_broken_is_mended() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        let first = mend(&mut kernel, &desired());
        for name in first.chains.keys() {
            nft(&format!("flush chain inet rail {name}"));
            mend(&mut kernel, &desired());
        }
        nft("flush table inet rail");
        mend(&mut kernel, &desired());
        nft("flush ruleset");
        mend(&mut kernel, &desired());
        // A base chain elsewhere, and one that is none any more.
        nft("flush chain inet rail forward; delete chain inet rail forward;
             add chain inet rail forward { type filter hook forward priority 5; }
             flush chain inet rail input; delete chain inet rail input;
             add chain inet rail input");
        mend(&mut kernel, &desired());
        // A rule of ours twice, and in the wrong place.
        let classify = rules(&kernel.observe().unwrap().unwrap(), "classify");
        let stamp = classify[0].stamp.unwrap();
        nft(&format!("add rule inet rail classify accept comment \"rail:{stamp:016x}\""));
        mend(&mut kernel, &desired());
        nft(&format!(
            "delete rule inet rail classify handle {}
             add rule inet rail classify iifname vmap {{ \"wan1\" : goto from_isp1 }} comment \"rail:{stamp:016x}\"",
            classify[0].handle
        ));
        let mended = rules(&mend(&mut kernel, &desired()), "classify");
        assert_eq!(mended[1..], classify[1..], "only the one in the wrong place moves");
    });
}

#[test]
fn switches_are_set_back_and_nothing_else() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        let before = mend(&mut kernel, &desired());
        nft("add table inet rail { flags dormant; }
             add chain inet rail forward { policy drop; }
             add chain inet rail guest");
        let broken = kernel.observe().unwrap().unwrap();
        assert!(broken.dormant && broken.chains["forward"].drops);
        assert!(firewall::script(&desired(), Some(&broken)).is_some());
        let mut after = mend(&mut kernel, &desired());
        assert!(after.chains.remove("guest").is_some(), "an empty chain may be somebody's");
        assert_eq!(after, before);
        assert!(
            nft("list table inet rail").contains("hook forward priority filter; policy accept;")
        );
    });
}

/// A chain of ours that somebody jumps to cannot go; that must not stop the rest.
#[test]
fn a_foreign_jump_does_not_block_a_change() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        let mut more = desired();
        more.chains.insert(0, plain("mark_isp2", &["meta mark set 0x02000000"]));
        mend(&mut kernel, &more);
        nft("add rule inet rail forward ip saddr 10.0.0.1 jump mark_isp2");
        let left = mend(&mut kernel, &desired());
        assert_eq!(left.chains["mark_isp2"].rules, []);
        assert_eq!(left.chains["forward"].rules.last().unwrap().stamp, None);
        mend(&mut kernel, &more);
    });
}

#[test]
fn uplinks_come_and_go() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        let small = desired();
        let mut large = desired();
        large.chains.insert(0, plain("mark_isp2", &["meta mark set 0x02000000"]));
        large.chains.insert(1, plain("from_isp2", &["ct mark set 0x02000000"]));
        for chain in &mut large.chains {
            for rule in &mut chain.rules {
                *rule = rule
                    .replace("goto mark_isp1 }", "goto mark_isp1, 0x02000000 : goto mark_isp2 }")
                    .replace("goto from_isp1 }", "goto from_isp1, \"wan2\" : goto from_isp2 }");
            }
        }
        for _ in 0..3 {
            mend(&mut kernel, &large);
            let left = mend(&mut kernel, &small);
            assert!(!left.chains.contains_key("mark_isp2"), "{left:?}");
        }
        let all = kernel.observe().unwrap().unwrap();
        assert!(firewall::has_ours(&all));
        nft(&firewall::removal(&all));
        assert_eq!(kernel.observe().unwrap(), None);
    });
}

#[test]
fn other_tables_are_not_ours() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        let other = "add table ip rail; add chain ip rail forward; add rule ip rail forward accept;
                     add table inet raild; add chain inet raild forward;
                     add map inet raild slots { type mark : mark; elements = { 1 : 2 }; }";
        nft(other);
        assert_eq!(kernel.observe().unwrap(), None);
        mend(&mut kernel, &desired());
        nft("delete table inet rail");
        assert_eq!(kernel.observe().unwrap(), None);
        assert!(nft("list ruleset").contains("table ip rail"));
    });
}

fn slots(kernel: &mut Nft) -> BTreeMap<u32, u32> {
    kernel.observe().unwrap().unwrap().slots.unwrap()
}

fn set(kernel: &mut Nft, want: &BTreeMap<u32, u32>) {
    let (del, add) = firewall::slots_delta(want, Some(&slots(kernel)));
    kernel.set_slots(&del, &add).unwrap();
    assert_eq!(slots(kernel), *want);
}

#[test]
fn slots_are_what_nft_shows() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        assert_eq!(kernel.set_slots(&[], &[(1, 2)]).unwrap_err().errno, libc::ENOENT);
        mend(&mut kernel, &desired());
        let want = BTreeMap::from([(0, 0x0100_0000), (1, 0x0200_0000), (258, 0x0100_0000)]);
        set(&mut kernel, &want);
        let listed: String = nft("list map inet rail slots").split_whitespace().collect();
        assert!(listed.contains("elements={0:0x01000000,1:0x02000000,258:0x01000000}"), "{listed}");
        // The other way round.
        nft("flush map inet rail slots; add element inet rail slots { 7 : 0x7e000000 }");
        assert_eq!(slots(&mut kernel), BTreeMap::from([(7, 0x7e00_0000)]));
        nft("flush map inet rail slots");
        let empty = kernel.observe().unwrap().unwrap();
        assert_eq!(empty.slots, Some(BTreeMap::new()));
        assert_eq!(firewall::script(&desired(), Some(&empty)), None);
        set(&mut kernel, &want);
        kernel.set_slots(&[], &[]).unwrap();
        assert_eq!(slots(&mut kernel), want);
    });
}

#[test]
fn slots_that_others_changed_meanwhile_come_out_right() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        mend(&mut kernel, &desired());
        set(&mut kernel, &BTreeMap::from([(0, 1), (1, 1), (2, 1), (9, 9)]));
        // 0 is gone, 2 is another; we meant to move all three to 5.
        nft("delete element inet rail slots { 0 }
             delete element inet rail slots { 2 }
             add element inet rail slots { 2 : 8 }
             add element inet rail slots { 3 : 8 }");
        let (del, add) = ([(0, 1), (1, 1), (2, 1)], [(0, 5), (1, 5), (2, 5), (3, 5)]);
        kernel.set_slots(&del, &add).unwrap();
        assert_eq!(slots(&mut kernel), BTreeMap::from([(0, 5), (1, 5), (2, 5), (3, 5), (9, 9)]));
        kernel.set_slots(&[(0, 5), (77, 1)], &[]).unwrap();
        assert_eq!(slots(&mut kernel), BTreeMap::from([(1, 5), (2, 5), (3, 5), (9, 9)]));
    });
}

/// The largest map that there can be moves as a whole, and back.
#[test]
fn a_large_map_moves_in_one_transaction() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        mend(&mut kernel, &desired());
        for mark in [0x0100_0000, 0x0200_0000, 0x0100_0000] {
            set(&mut kernel, &(0..4096).map(|slot| (slot, mark)).collect());
        }
        set(&mut kernel, &BTreeMap::new());
    });
}

/// Whoever reads while another one writes sees the state before or after, never between.
#[test]
fn a_reading_is_of_one_moment() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        let (one, two) = (desired(), {
            let mut two = desired();
            two.chains[0].rules = vec!["meta mark set 1".into(); 3];
            two.chains[8].rules.reverse();
            two
        });
        let states = [mend(&mut kernel, &one), mend(&mut kernel, &two)];
        let shape =
            |o: &ObservedFirewall| o.chains.keys().map(|name| ours(o, name)).collect::<Vec<_>>();
        let known = [shape(&states[0]), shape(&states[1])];
        let writer = in_this_netns(move || {
            let mut kernel = Nft::open().unwrap();
            for turn in 0..20 {
                mend(&mut kernel, if turn % 2 == 0 { &one } else { &two });
            }
        });
        let mut seen = 0;
        while !writer.is_finished() {
            match kernel.observe() {
                Ok(observed) => {
                    let seen = shape(&observed.unwrap());
                    assert!(known.contains(&seen), "{seen:x?}\n{known:x?}");
                }
                Err(e) => assert_eq!(e.errno, libc::EBUSY, "{e}"),
            }
            seen += 1;
        }
        writer.join().unwrap();
        assert!(seen > 20);
    });
}

/// A thread starts in the namespace of the one that made it.
fn in_this_netns(work: impl FnOnce() + Send + 'static) -> std::thread::JoinHandle<()> {
    std::thread::spawn(work)
}

fn heard(monitor: &mut Monitor) -> bool {
    // Notifications are there when the change returns.
    let first = monitor.drain();
    assert!(monitor.drain().is_empty(), "said twice");
    assert!([Scope::FIREWALL, Scope::NONE].contains(&first));
    !first.is_empty()
}

#[test]
fn others_are_heard_and_we_are_not() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        let mut monitor = Monitor::open(vec![kernel.port()]).unwrap();
        assert!(!heard(&mut monitor));
        mend(&mut kernel, &desired());
        assert!(heard(&mut monitor), "nft has a port of its own");
        set(&mut kernel, &BTreeMap::from([(0, 1)]));
        assert!(!heard(&mut monitor));
        for foreign in [
            "add rule inet rail forward accept",
            "add element inet rail slots { 1 : 1 }",
            "delete element inet rail slots { 1 }",
            "add chain inet rail guest",
            "add chain inet rail forward { policy drop; }",
            "add table inet rail { flags dormant; }",
            "add set inet rail friends { type ipv4_addr; }",
            "flush chain inet rail forward",
            "flush ruleset",
            "add table inet rail",
            "delete table inet rail",
        ] {
            nft(foreign);
            assert!(heard(&mut monitor), "{foreign}");
        }
        for other in ["add table ip rail", "add table inet other", "delete table ip rail"] {
            nft(other);
            assert!(!heard(&mut monitor), "{other}");
        }
        nft("flush ruleset");
        assert!(!heard(&mut monitor));
    });
}

#[test]
fn lost_notifications_count_as_a_change() {
    in_new_netns(|| {
        let mut monitor = Monitor::open(Vec::new()).unwrap();
        nft("add table inet other; add set inet other s { type mark; }");
        let elements: Vec<String> = (0..40_000).map(|n| n.to_string()).collect();
        let begin = Instant::now();
        while monitor.overruns() == 0 {
            nft(&format!("add element inet other s {{ {} }}", elements.join(", ")));
            nft("flush set inet other s");
            let changed = !monitor.drain().is_empty();
            assert_eq!(changed, monitor.overruns() > 0);
            assert!(begin.elapsed() < Duration::from_secs(60), "never lost one");
        }
    });
}

/// Any process may write to a netlink socket; only the kernel is believed.
#[test]
fn forged_notifications_are_not_heard() {
    use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, netlink, sendto};
    in_new_netns(|| {
        let mut monitor = Monitor::open(Vec::new()).unwrap();
        let forger = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::NETFILTER),
        )
        .unwrap();
        rustix::net::bind(&forger, &netlink::SocketAddrNetlink::new(0, 0)).unwrap();
        let address = rustix::net::getsockname(monitor.as_fd()).unwrap();
        let port = netlink::SocketAddrNetlink::try_from(address).unwrap().pid();
        let mut forged = rail_wire::netlink::Request::new(0xa06, 0, &[1, 0, 0, 0]);
        forged.text(1, "rail");
        let to = netlink::SocketAddrNetlink::new(port, 0);
        sendto(&forger, &forged.finish(0), SendFlags::empty(), &to).unwrap();
        assert!(!heard(&mut monitor));
        nft("add table inet rail");
        assert!(heard(&mut monitor));
    });
}

/// Prints what changing slots costs. Run with `--ignored --nocapture`.
#[test]
#[ignore = "measures, and proves nothing"]
fn cost_of_slots() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        mend(&mut kernel, &desired());
        for count in [64, 256, 512, 4096] {
            let maps = [1_u32, 2].map(|mark| -> Vec<(u32, u32)> {
                (0..count).map(|slot| (slot, mark << 24)).collect()
            });
            kernel.set_slots(&[], &maps[0]).unwrap();
            let mut times: Vec<Duration> = (0..100)
                .map(|turn| {
                    let begin = Instant::now();
                    kernel.set_slots(&maps[turn % 2], &maps[(turn + 1) % 2]).unwrap();
                    begin.elapsed()
                })
                .collect();
            times.sort_unstable();
            let mut looks: Vec<Duration> = (0..100)
                .map(|_| {
                    let begin = Instant::now();
                    kernel.observe().unwrap();
                    begin.elapsed()
                })
                .collect();
            looks.sort_unstable();
            println!(
                "{count} slots: change p50 {:?} p90 {:?} max {:?}; observe p50 {:?}",
                times[50], times[90], times[99], looks[50]
            );
            kernel.set_slots(&maps[0], &[]).unwrap();
        }
    });
}
