//! Questions on a real kernel, in a namespace of their own.

use super::*;
use crate::clock;
use crate::testing::{in_new_netns, ip, nft};
use rail_core::Binding;
use rail_core::net::{Family, UplinkId};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

const TOKENS: Range<u64> = 100..103;
const ASKER: Asker = Asker::Probe(UplinkId(3), Family::V4);
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    poller: Poller,
    asks: Asks,
}

impl Bench {
    fn new() -> Self {
        Self { poller: Poller::new().unwrap(), asks: Asks::new(TOKENS) }
    }

    fn ask(&mut self, n: u64, binding: Binding, to: SocketAddr) -> Option<(u64, Outcome)> {
        self.ask_as(ASKER, n, (binding, to))
    }

    fn ask_as(
        &mut self,
        asker: Asker,
        n: u64,
        (binding, to): (Binding, SocketAddr),
    ) -> Option<(u64, Outcome)> {
        let (id, ask) = (AskId { asker, n }, Ask::Connect { binding, to, timeout: SECOND });
        self.asks.begin(&self.poller, clock::now(), id, ask).map(answer)
    }

    /// What comes of a question in the end.
    fn outcome(&mut self, n: u64, binding: Binding, to: SocketAddr) -> Outcome {
        if let Some((_, outcome)) = self.ask(n, binding, to) {
            return outcome;
        }
        loop {
            for ready in self.poller.wait(true).unwrap() {
                if let Some(input) = self.asks.ready(clock::now(), ready.token) {
                    assert_eq!(answer(input.clone()).0, n);
                    return answer(input).1;
                }
            }
        }
    }
}

fn answer(input: Input) -> (u64, Outcome) {
    match input {
        Input::Answered(id, outcome) => (id.n, outcome),
        other => panic!("{other:?}"),
    }
}

fn binding(ifname: &str, ifindex: u32, source: IpAddr) -> Binding {
    Binding { ifname: ifname.parse().unwrap(), ifindex, source: Some(source), mark: 0x0300_0000 }
}

/// `lo` is the first device of a namespace.
fn local(source: IpAddr) -> Binding {
    binding("lo", 1, source)
}

/// A cable whose other end is silent; the address of nobody behind it.
fn silence() -> (Binding, SocketAddr) {
    ip("link add wan1 index 70 type veth peer name far1");
    ip("addr add 100.64.1.2/24 dev wan1");
    ip("link set wan1 up");
    ip("link set far1 up");
    let source = "100.64.1.2".parse().unwrap();
    (binding("wan1", 70, source), "100.64.1.9:443".parse().unwrap())
}

/// Given somebody who listens, of either family, then the connection comes about; given nobody, then it
/// is refused, which is an answer, too.
#[test]
fn a_listener_answers_and_a_closed_port_refuses() {
    in_new_netns(|| {
        let mut bench = Bench::new();
        for source in ["127.0.0.1", "::1"] {
            let source: IpAddr = source.parse().unwrap();
            let listener = TcpListener::bind((source, 0)).unwrap();
            let to = listener.local_addr().unwrap();
            let begun = clock::now();
            let outcome = bench.outcome(1, local(source), to);
            let Ok(Answer::Connected { rtt }) = outcome else { panic!("{outcome:?}") };
            assert!(rtt > Duration::ZERO && rtt <= clock::now().since(begun), "{rtt:?}");
            let (mut stream, peer) = listener.accept().unwrap();
            assert_eq!(peer.ip(), source);
            // It was closed with a reset, and nothing is left.
            let read = std::io::Read::read(&mut stream, &mut [0]).unwrap_err();
            assert_eq!(read.kind(), std::io::ErrorKind::ConnectionReset);
            drop(listener);
            let outcome = bench.outcome(2, local(source), to);
            assert!(matches!(outcome, Ok(Answer::Refused { .. })), "{outcome:?}");
        }
        assert!(bench.asks.open.is_empty() && bench.asks.deadline().is_none());
    });
}

/// Given a filter of the router that rejects the connection, then nobody has answered; given one that
/// rejects with a reset, then that is taken for an answer, for it looks like one.
#[test]
fn a_rejection_by_icmp_is_no_answer() {
    in_new_netns(|| {
        let (wan1, nobody) = silence();
        ip("neigh add 100.64.1.9 lladdr 02:00:00:00:00:99 dev wan1");
        nft("add table ip other");
        nft("add chain ip other out { type filter hook output priority 0 ; }");
        nft("add rule ip other out tcp dport 443 reject");
        let mut bench = Bench::new();
        assert_eq!(bench.outcome(1, wan1, nobody), Err(AskError::Unreachable));
        nft("flush chain ip other out");
        nft("add rule ip other out tcp dport 443 reject with tcp reset");
        let outcome = bench.outcome(2, wan1, nobody);
        assert!(matches!(outcome, Ok(Answer::Refused { .. })), "{outcome:?}");
    });
}

/// Given a loop that was late, then the round-trip time is still the kernel's, and an answer that came
/// meanwhile counts though the time is over.
#[test]
fn a_late_loop_makes_no_target_slow() {
    in_new_netns(|| {
        let listener = TcpListener::bind((LOCAL, 0)).unwrap();
        let mut bench = Bench::new();
        assert_eq!(bench.ask(7, local(LOCAL), listener.local_addr().unwrap()), None);
        let late = clock::now() + SECOND * 5;
        let inputs = bench.asks.expire(late);
        let outcome = answer(inputs.into_iter().next().unwrap());
        let (7, Ok(Answer::Connected { rtt })) = outcome else { panic!("{outcome:?}") };
        assert!(rtt < SECOND, "{rtt:?}");
    });
}

/// Given a target that is silent, then its question ends in its time and not before, and one that was
/// called off has no answer.
#[test]
fn silence_ends_in_its_time() {
    in_new_netns(|| {
        let (wan1, nobody) = silence();
        let mut bench = Bench::new();
        let begun = clock::now();
        assert_eq!(bench.ask(1, wan1, nobody), None);
        let until = bench.asks.deadline().unwrap();
        assert!((begun + SECOND..=clock::now() + SECOND).contains(&until));
        assert!(bench.asks.expire(until - Duration::from_nanos(1)).is_empty());
        let over: Vec<_> = bench.asks.expire(until).into_iter().map(answer).collect();
        assert_eq!(over, [(1, Err(AskError::TimedOut))]);
        assert_eq!(bench.ask(2, wan1, nobody), None);
        bench.asks.cancel(Asker::Probe(UplinkId(4), Family::V4));
        assert!(bench.asks.deadline().is_some());
        bench.asks.cancel(ASKER);
        assert!(bench.asks.open.is_empty() && bench.asks.deadline().is_none());
    });
}

/// Given more questions at once than there is room for, then the last one is not asked; when one is
/// over, there is room again.
#[test]
fn there_are_so_many_at_once_and_no_more() {
    in_new_netns(|| {
        let (wan1, nobody) = silence();
        let mut bench = Bench::new();
        for n in 0..3 {
            assert_eq!(bench.ask(n, wan1, nobody), None);
        }
        assert_eq!(bench.ask(3, wan1, nobody), Some((3, Err(AskError::NotAsked))));
        let until = bench.asks.deadline().unwrap();
        bench.asks.expire(until);
        assert_eq!(bench.ask(4, wan1, nobody), None);
    });
}

/// Given an asker that holds every place, when another one comes and one question is over, then the
/// place is the other's; when the other is called off, the first may have it again.
#[test]
fn a_place_is_kept_for_each_asker() {
    in_new_netns(|| {
        let (wan1, nobody) = silence();
        let other = Asker::Probe(UplinkId(4), Family::V4);
        let mut bench = Bench::new();
        for n in 0..3 {
            assert_eq!(bench.ask(n, wan1, nobody), None);
        }
        let refused = Some((9, Err(AskError::NotAsked)));
        assert_eq!(bench.ask_as(other, 9, (wan1, nobody)), refused);
        let first = *bench.asks.open.first_key_value().unwrap().0;
        bench.asks.open.remove(&first);
        assert_eq!(bench.ask(9, wan1, nobody), refused);
        assert_eq!(bench.ask_as(other, 9, (wan1, nobody)), None);
        bench.asks.cancel(other);
        assert_eq!(bench.ask(9, wan1, nobody), None);
    });
}

/// Given no such device, another device of that name or no such source, then nothing was asked, and the
/// answer says so at once.
#[test]
fn what_cannot_be_asked_is_no_evidence() {
    in_new_netns(|| {
        let (wan1, nobody) = silence();
        let mut bench = Bench::new();
        let absent = Binding { ifname: "absent".parse().unwrap(), ..wan1 };
        let another = Binding { ifindex: 71, ..wan1 };
        let elsewhere = Binding { source: Some("100.64.9.9".parse().unwrap()), ..wan1 };
        for binding in [absent, another, elsewhere] {
            let answer = bench.ask(1, binding, nobody);
            assert_eq!(answer, Some((1, Err(AskError::NotAsked))));
        }
    });
}

/// Given no route, or a gateway that does not answer, then there is no way.
#[test]
fn without_a_way_there_is_no_answer() {
    in_new_netns(|| {
        let (wan1, nobody) = silence();
        let mut bench = Bench::new();
        let unbound = Binding { source: None, ..wan1 };
        let far: SocketAddr = "[2001:db8::1]:443".parse().unwrap();
        assert_eq!(bench.ask(1, unbound, far), Some((1, Err(AskError::Unreachable))));
        // It asks three times.
        crate::sysctl::write("net/ipv4/neigh/wan1/retrans_time_ms", "10").unwrap();
        assert_eq!(bench.outcome(2, unbound, nobody), Err(AskError::Unreachable));
    });
}
