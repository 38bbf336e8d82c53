//! The normaliser notices a planted change of each kind, and nothing that changes by itself.

use rail_lab::{Node, Plan, Topology, figures, isolated, normal};

/// A change and how it is taken back, each as a command of the router.
const CHANGES: &[(&str, &str, &str)] = &[
    ("rule", "ip rule add fwmark 7 lookup 77 priority 777", "ip rule del priority 777"),
    ("rule's mask", "ip rule add fwmark 6/0xff lookup 88 priority 88", "ip rule del priority 88"),
    ("rule 6", "ip -6 rule add fwmark 7 lookup 77 priority 777", "ip -6 rule del priority 777"),
    ("route", "ip route add 203.0.113.0/24 via 100.64.1.1", "ip route del 203.0.113.0/24"),
    ("other table", "ip route add unreachable default table 77", "ip route flush table 77"),
    (
        "metric",
        "ip route change 198.51.100.0/24 via 100.64.1.1 mtu 1400",
        "ip route change 198.51.100.0/24 via 100.64.1.1",
    ),
    (
        "weight",
        "ip route replace table 9 default nexthop via 100.64.1.1 weight 2 nexthop via 100.64.2.1",
        "ip route replace table 9 default nexthop via 100.64.1.1 nexthop via 100.64.2.1",
    ),
    (
        "route 6",
        "ip -6 route add unreachable 2001:db8::/32 table 77",
        "ip -6 route del unreachable 2001:db8::/32 table 77",
    ),
    ("address", "ip addr add 192.0.2.77/32 dev wan1", "ip addr del 192.0.2.77/32 dev wan1"),
    ("address 6", "ip addr add 2001:db8::7/64 dev wan1", "ip addr del 2001:db8::7/64 dev wan1"),
    ("nexthop", "ip nexthop add id 7 via 100.64.1.1 dev wan1", "ip nexthop del id 7"),
    ("nft rule", "nft add rule ip a c tcp dport 1 accept", "nft delete rule ip a c handle N"),
    ("nft element", "nft add element ip a s { 3 }", "nft delete element ip a s { 3 }"),
    ("nft map", "nft add element ip a m { 3 : 9 }", "nft delete element ip a m { 3 }"),
    ("nft table", "nft add table inet b", "nft delete table inet b"),
    ("nft chain", "nft add chain ip a d", "nft delete chain ip a d"),
    ("forwarding", "sysctl -qw net.ipv4.ip_forward=1", "sysctl -qw net.ipv4.ip_forward=0"),
    (
        "rp_filter",
        "sysctl -qw net.ipv4.conf.wan2.rp_filter=2",
        "sysctl -qw net.ipv4.conf.wan2.rp_filter=0",
    ),
    (
        "src_valid_mark",
        "sysctl -qw net.ipv4.conf.all.src_valid_mark=1",
        "sysctl -qw net.ipv4.conf.all.src_valid_mark=0",
    ),
    (
        "hash policy",
        "sysctl -qw net.ipv4.fib_multipath_hash_policy=1",
        "sysctl -qw net.ipv4.fib_multipath_hash_policy=0",
    ),
    (
        "forwarding 6",
        "sysctl -qw net.ipv6.conf.lan0.forwarding=1",
        "sysctl -qw net.ipv6.conf.lan0.forwarding=0",
    ),
    ("link", "ip link add probe0 type bridge", "ip link del probe0"),
    ("MTU", "ip link set wan2 mtu 1400", "ip link set wan2 mtu 1500"),
    ("alias", "ip link set wan2 alias mine", "ip link set wan2 alias A"),
];

#[test]
fn each_planted_change_is_noticed() {
    isolated(|| {
        // given a router with something of each kind / when one thing is changed / then the
        // texts differ, and they are equal again when it is taken back
        let (_topology, router) = build();
        let mut noticed = 0;
        for (kind, change, back) in CHANGES {
            let before = normal::state(&router).unwrap();
            // starts: ip, nft, sysctl
            router.sh(change).unwrap();
            let changed = normal::state(&router).unwrap();
            let seen = normal::difference(&before, &changed);
            assert!(!seen.is_empty(), "{kind} went unnoticed: {change}");
            router.sh(&back.replace("handle N", &handle(&router))).unwrap();
            let after = normal::state(&router).unwrap();
            assert_eq!(normal::difference(&before, &after), "", "{kind}: taken back");
            noticed += 1;
        }
        figures(&format!("{noticed} of {} kinds of change noticed", CHANGES.len()));
    });
}

#[test]
fn a_link_set_down_is_noticed() {
    isolated(|| {
        let (_topology, router) = build();
        let before = normal::state(&router).unwrap();
        router.sh("ip link set wan2 down").unwrap();
        let seen = normal::difference(&before, &normal::state(&router).unwrap());
        assert!(seen.contains("+ links: wan2 down"), "{seen}");
    });
}

#[test]
fn the_order_of_rules_is_noticed() {
    isolated(|| {
        let (_topology, router) = build();
        router.nft("add rule ip a c tcp dport 5 drop\nadd rule ip a c tcp dport 6 drop\n").unwrap();
        let before = normal::state(&router).unwrap();
        router.nft("flush chain ip a c\nadd rule ip a c tcp dport 6 drop\n").unwrap();
        router.nft("add rule ip a c tcp dport 5 drop\n").unwrap();
        let seen = normal::difference(&before, &normal::state(&router).unwrap());
        assert_eq!(seen, "the same lines in another order or number\n");
    });
}

#[test]
fn what_changes_by_itself_is_not_noticed() {
    isolated(|| {
        // given counters, timed elements, handles / when they move / then the texts are equal
        let (_topology, router) = build();
        router.nft("add rule ip a o counter\n").unwrap();
        let before = normal::state(&router).unwrap();
        let rule = "add rule ip a c drop\nflush chain ip a c\n";
        router.nft(&format!("add element ip a t {{ 192.0.2.9 }}\n{rule}")).unwrap();
        let _ = router.sh("ping -n -c 1 -W 0.1 100.64.1.1");
        let after = normal::state(&router).unwrap();
        assert_eq!(normal::difference(&before, &after), "");
        assert!(before.contains("element 0x00000001 : 0x00000009"), "{before}");
    });
}

fn build() -> (Topology, Node) {
    let plan = Plan { addresses: true, second_hop: false, ..Plan::new(2) };
    let topology = Topology::build(&plan).unwrap();
    let router = topology.router.clone();
    router.set("net/ipv4/ip_forward", "0").unwrap();
    router
        .ip_batch(
            "link set wan2 alias A\nroute add 198.51.100.0/24 via 100.64.1.1\n\
             route add table 9 default nexthop via 100.64.1.1 nexthop via 100.64.2.1\n",
        )
        .unwrap();
    router
        .nft(
            "table ip a {\n set s { type mark; elements = { 1, 2 } }\n\
             set t { type ipv4_addr; flags timeout; timeout 1h; }\n\
             map m { type mark : mark; elements = { 1 : 9 } }\n chain c { }\n\
             chain o { type filter hook output priority 0\n }\n}\n",
        )
        .unwrap();
    (topology, router)
}

/// The last handle of the chain, as `handle 12`.
fn handle(router: &Node) -> String {
    let text = router.sh("nft -a list chain ip a c").unwrap_or_default();
    let last = text.lines().rfind(|line| line.contains("dport"));
    last.and_then(|line| line.split("# ").nth(1)).unwrap_or("handle 0").to_owned()
}
