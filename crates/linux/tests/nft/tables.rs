//! Chains and rules: made, mended, and left alone where they are others'.

use super::*;

#[test]
fn from_nothing_and_nothing_twice() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        assert_eq!(kernel.observe().unwrap(), None);
        let made = mend(&mut kernel, &desired());
        assert_eq!(made.buckets, Some(BTreeMap::new()));
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
        nft(&firewall::removal(NFT_TABLE, &left));
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
        nft(&firewall::removal(NFT_TABLE, &all));
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

/// Whoever reads while another one writes sees the state before or after, never between.
#[test]
fn a_reading_is_of_one_moment() {
    in_new_netns(|| {
        let mut kernel = Nft::open().unwrap();
        let (one, two) = (desired(), {
            let mut two = desired();
            two.chains[0].rules = vec!["meta mark set 1".into(); 3];
            let last = two.chains.iter_mut().find(|chain| chain.name == "forward").unwrap();
            last.rules.reverse();
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
