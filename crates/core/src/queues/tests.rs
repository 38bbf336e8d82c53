//! Tables of machines and their masks.

use super::*;
use alloc::format;
use alloc::string::ToString;

/// Online CPUs of one speed.
fn cpus(numbers: &[u16]) -> Vec<Cpu> {
    numbers.iter().map(|number| Cpu { number: *number, capacity: 1024 }).collect()
}

/// A port with the interrupts of its receive queues at these CPUs, and so many transmit queues.
fn port(receive: &[Option<u16>], transmit: usize) -> PortQueues {
    let queue = |cpu: &Option<u16>| ReceiveQueue { mask: Some("0".into()), cpu: *cpu };
    PortQueues {
        receive: receive.iter().map(queue).collect(),
        // The kernel has no mask where there is nothing to choose.
        transmit: (0..transmit).map(|_| Some("0".to_string()).filter(|_| transmit > 1)).collect(),
        refused: None,
    }
}

fn name() -> IfName {
    "wan1".parse().unwrap()
}

/// The masks of one port: those of receive queues, then those of transmit queues.
fn planned(cpus: Vec<Cpu>, port: PortQueues) -> [Vec<String>; 2] {
    planned_for(Carries::Ip, cpus, port)
}

fn planned_for(carries: Carries, cpus: Vec<Cpu>, port: PortQueues) -> [Vec<String>; 2] {
    let topology = Topology { cpus, ports: [(name(), port)].into() };
    let masks = topology.masks([(name(), carries)]);
    let of = |file: &str| {
        let some = masks.iter().filter(|(path, _)| path.ends_with(file));
        some.map(|(_, mask)| mask.clone()).collect()
    };
    [of("rps_cpus"), of("xps_cpus")]
}

/// Given machines of 1 to 130 CPUs and ports with fewer, as many and more queues, when masks are made,
/// then packets go to every CPU but that of the interrupt, nowhere in software where the hardware
/// spreads them, and each CPU sends by one queue.
#[test]
fn masks_follow_the_machine() {
    let many: Vec<u16> = (0..130).collect();
    let all_of_130 = "3,ffffffff,ffffffff,ffffffff,fffffffe";
    type Case<'a> = (&'a [u16], &'a [Option<u16>], usize, &'a [&'a str], &'a [&'a str]);
    let cases: &[Case<'_>] = &[
        // One CPU.
        (&[0], &[Some(0)], 1, &["0"], &[]),
        // Two: the other one; OpenWrt has 2 of 2.
        (&[0, 1], &[Some(0)], 1, &["2"], &[]),
        (&[0, 1], &[Some(1)], 1, &["1"], &[]),
        // USB: nobody knows whose interrupt it is.
        (&[0, 1, 2, 3], &[None], 1, &["e"], &[]),
        (&[0, 1, 2, 3], &[Some(2)], 1, &["b"], &[]),
        // An interrupt at a CPU that is offline meanwhile.
        (&[0, 1, 2], &[Some(3)], 1, &["6"], &[]),
        // Fewer, as many, and more queues than CPUs.
        (&[0, 1, 2, 3], &[Some(0), Some(1)], 2, &["e", "d"], &["5", "a"]),
        (&[0, 1], &[Some(0), Some(1)], 2, &["0", "0"], &["1", "2"]),
        (&[0, 1], &[None; 4], 4, &["0", "0", "0", "0"], &["1", "2", "0", "0"]),
        (&[0, 1, 2, 3, 4, 5, 6, 7], &[Some(7)], 4, &["7f"], &["11", "22", "44", "88"]),
        // Holes: every second CPU is offline.
        (&[0, 2, 4, 6], &[Some(4)], 2, &["45"], &["11", "44"]),
        (&many, &[Some(0)], 1, &[all_of_130], &[]),
        (&many, &[Some(129)], 1, &["1,ffffffff,ffffffff,ffffffff,ffffffff"], &[]),
    ];
    for (online, receive, transmit, rps, xps) in cases {
        let [found_rps, found_xps] = planned(cpus(online), port(receive, *transmit));
        let what = format!("{} CPUs, {receive:?}, {transmit}", online.len());
        assert_eq!(
            (found_rps.as_slice(), found_xps.as_slice()),
            (
                rps.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice(),
                xps.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice(),
            ),
            "{what}"
        );
    }
}

/// Given a port that PPPoE goes by, with as many queues as CPUs, when masks are made, then its first queue, into
/// which all of a session falls, is handed to the other CPUs, and the others are not; one with fewer is as ever.
#[test]
fn a_session_of_pppoe_is_spread() {
    let of = |receive: &[Option<u16>]| {
        let own = port(receive, 1);
        let topology = Topology { cpus: cpus(&[0, 1, 2, 3]), ports: BTreeMap::new() };
        let spread = topology.spread_over(&own, Carries::Pppoe);
        (planned_for(Carries::Pppoe, topology.cpus, own)[0].join(" "), spread)
    };
    assert_eq!(of(&[Some(2), Some(1), Some(0), Some(3)]), ("b 0 0 0".to_string(), 3));
    assert_eq!(of(&[None; 5]), ("e 0 0 0 0".to_string(), 3));
    assert_eq!(of(&[Some(0), Some(1)]), ("e d".to_string(), 4));
}

/// Given four slow CPUs and two fast ones, then packets go to the fast ones; where the only fast one
/// has the interrupt, to the others.
#[test]
fn fast_cpus_are_preferred() {
    let slow = (0..4).map(|number: u16| Cpu { number, capacity: 485 });
    let fast = |count: u16| (4..4 + count).map(|number| Cpu { number, capacity: 1024 });
    for (count, busy, rps) in [(2, 0, "30"), (2, 4, "20"), (1, 4, "f")] {
        let cpus = slow.clone().chain(fast(count)).collect();
        assert_eq!(
            planned(cpus, port(&[Some(busy)], 1)),
            [alloc::vec![rps.to_string()], Vec::new()]
        );
    }
}

/// Given ports that nobody wants, that refuse, or that have no masks, then they get none; nor does a
/// machine without a CPU that anybody knows of.
#[test]
fn nothing_is_wanted_where_nothing_can_be() {
    let none = Vec::<String>::new;
    let refused = PortQueues { refused: Some("read-only".into()), ..port(&[None], 4) };
    let bare = PortQueues { receive: alloc::vec![ReceiveQueue::default()], ..port(&[], 1) };
    for port in [refused, bare] {
        assert_eq!(planned(cpus(&[0, 1, 2, 3]), port), [none(), none()]);
    }
    let ports = [(name(), port(&[None], 1))].into();
    let topology = Topology { cpus: cpus(&[0, 1]), ports };
    assert!(topology.masks([]).is_empty());
    assert_eq!(planned(Vec::new(), port(&[None], 1)), [none(), none()]);
}

/// Given masks as kernels write them, then the text says the set and nothing else.
#[test]
fn masks_are_read_and_written() {
    for (text, expected, cpus) in [
        ("0", "0", alloc::vec![]),
        ("00000000,00000000", "0", alloc::vec![]),
        ("f\n", "f", alloc::vec![0, 1, 2, 3]),
        ("00000000,00000002", "2", alloc::vec![1]),
        ("00000001,00000001", "1,00000001", alloc::vec![0, 32]),
        ("80,00000000,00000000", "80,00000000,00000000", alloc::vec![71]),
    ] {
        let mask = Mask::parse(text).unwrap();
        assert_eq!((mask.to_text().as_str(), mask.cpus().collect::<Vec<_>>()), (expected, cpus));
        assert_eq!(Mask::of(mask.cpus()), mask);
    }
    for text in ["", " ", ",", "g", "1,", "123456789", "-1", "0x1", "+1"] {
        assert_eq!(Mask::parse(text), None, "{text:?}");
    }
}

/// Given paths, then those of masks alone are places, each in one way of writing.
#[test]
fn places_are_read_and_written() {
    for path in ["class/net/wan2.7/queues/rx-0/rps_cpus", "class/net/queues/queues/tx-12/xps_cpus"]
    {
        assert_eq!(Place::parse(path).unwrap().path(), path);
    }
    for path in [
        "",
        "net/ipv4/ip_forward",
        "class/net/wan1/queues/rx-0/rps_flow_cnt",
        "class/net/wan1/queues/rx-0/xps_cpus",
        "class/net/wan1/queues/rx-00/rps_cpus",
        "class/net/wan1/queues/rx-+1/rps_cpus",
        "class/net/wan1/queues/rx-/rps_cpus",
        "class/net/../queues/rx-0/rps_cpus",
        "class/net/a/b/queues/rx-0/rps_cpus",
        "/class/net/wan1/queues/rx-0/rps_cpus",
        "class/net/wan1/queues/rx-0/rps_cpus/",
    ] {
        assert_eq!(Place::parse(path), None, "{path:?}");
    }
}
