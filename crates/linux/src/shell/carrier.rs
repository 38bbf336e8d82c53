//! State and traffic of the links in use, read again and again by a thread of its own.
//!
//! While links change anywhere on the machine, in any namespace, the kernel merges its
//! notifications of a lost carrier for up to a second; the state itself is right at once. Promises:
//! a difference shows up through one descriptor within [`EVERY`], or [`AT_REST`], whether a notification
//! comes or not, and so does a busy link that is not answered any more; the loop is woken by nothing else. A
//! thread, because the kernel answers under a lock that others may hold for long (a driver that
//! resets its card), and the loop must not wait for it. Leaves out what a difference means: the shell
//! says that links changed, and the core reads them as ever. Which traffic is suspicious the core
//! says, too ([`Traffic`]). A *look* is a message of the kernel, which has the counters of packets, too.
//! While no link is busy most looks are *glances*: whether the driver has a link, which costs a fiftieth,
//! but not where the driver asks its hardware.

use super::{Event, Shell};
use crate::clock;
use crate::ethtool::has_link;
use crate::netlink::{LinkState, RequestSocket};
use rail_core::Input;
use rail_core::check::{Packets, Traffic, Unanswered};
use rail_core::net::IfName;
use rail_core::state::Scope;
use rail_core::time::{Duration, Instant};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;

/// The thread; it ends with this value.
#[derive(Debug)]
pub(super) struct CarrierWatch {
    links: Sender<Vec<IfName>>,
    watched: Vec<IfName>,
    finds: Receiver<Find>,
    woken: Arc<OwnedFd>,
}

/// What one look found.
#[derive(Copy, Clone, PartialEq, Debug)]
pub(super) enum Find {
    /// The state of a link differs.
    Difference,
    /// A link that was busy is not answered any more.
    Unanswered(IfName, Unanswered),
}

impl CarrierWatch {
    /// Starts it in the network namespace of the calling thread; it looks at nothing yet.
    ///
    /// # Errors
    /// No thread, socket or descriptor left.
    pub(super) fn start() -> io::Result<Self> {
        let woken = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let ((links, lists), (tell, finds)) = (channel(), channel());
        let (socket, wake) = (RequestSocket::open()?, Arc::clone(&woken));
        thread::Builder::new()
            .name("rail-carrier".into())
            .spawn(move || watch(socket, &lists, (&tell, &wake)))?;
        Ok(Self { links, watched: Vec::new(), finds, woken })
    }

    /// Looks at exactly these from now on; the first look at a new list counts as a difference.
    pub(super) fn watch(&mut self, links: &[IfName]) {
        if self.watched != links {
            self.watched = links.to_vec();
            // The thread ends only after this sender.
            let _ = self.links.send(self.watched.clone());
        }
    }

    /// What was found since the last call.
    pub(super) fn take(&self) -> impl Iterator<Item = Find> {
        let _ = rustix::io::read(&self.woken, &mut [0; 8]);
        self.finds.try_iter()
    }
}

impl AsFd for CarrierWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.woken.as_fd()
    }
}

impl Shell {
    /// Takes what the looks at the links found.
    pub(super) fn take_finds(&mut self) {
        let finds: Vec<Find> = self.carriers.take().collect();
        for find in finds {
            match find {
                Find::Difference => self.note_changed(Scope::LINKS),
                Find::Unanswered(device, found) => {
                    self.events.push_back(Event::Input(Input::Unanswered(device, found)));
                }
            }
        }
    }
}

/// A link that is looked at.
struct Watched {
    name: IfName,
    state: Option<LinkState>,
    traffic: Traffic,
    /// Its driver had a link at the last glance; `None`: a glance says nothing, or takes too long.
    glance: Option<bool>,
    /// No glance before: the last one took too long.
    spared: Instant,
}

impl Watched {
    fn new(name: IfName) -> Self {
        let (traffic, spared) = (Traffic::default(), Instant::ZERO);
        Self { name, state: None, traffic, glance: None, spared }
    }

    /// Glances at it; false if it is to be looked at.
    fn glance(&mut self, socket: &RequestSocket) -> bool {
        self.glance_by(clock::now, |name| has_link(socket, name))
    }

    /// A driver that asks its hardware keeps the kernel's lock meanwhile, for seconds where the hardware does
    /// not answer, and no route changes in that time: it is asked more seldom the longer it takes.
    fn glance_by(
        &mut self,
        clock: impl Fn() -> Instant,
        has_link: impl Fn(IfName) -> Option<bool>,
    ) -> bool {
        let begun = clock();
        if begun < self.spared {
            return false;
        }
        let seen = has_link(self.name);
        let now = clock();
        let took = now.since(begun);
        let is_quick = took <= QUICK;
        if !is_quick {
            self.spared = now + took.min(LONGEST) * SPARED;
        }
        std::mem::replace(&mut self.glance, seen.filter(|_| is_quick)) == seen && seen.is_some()
    }

    /// Takes what was seen of it; true if its state differs.
    fn look(&mut self, now: Instant, seen: Option<Seen>) -> (bool, Option<Find>) {
        let (state, packets) = seen.unzip();
        let found = packets.flatten().and_then(|p| self.traffic.look(now, p));
        let differs = std::mem::replace(&mut self.state, state) != state;
        (differs, found.map(|found| Find::Unanswered(self.name, found)))
    }
}

/// State and counters of a link.
type Seen = (LinkState, Option<Packets>);

fn watch(
    mut socket: RequestSocket,
    lists: &Receiver<Vec<IfName>>,
    (tell, wake): (&Sender<Find>, &OwnedFd),
) {
    // Some milliseconds later are early enough, and let the processor sleep on.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(SLACK_NANOS));
    let mut links: Vec<Watched> = Vec::new();
    let mut glances = 0;
    loop {
        let is_busy = links.iter().any(|link| link.traffic.is_busy());
        let wait = match links.is_empty() {
            true => Duration::MAX,
            false if is_busy => EVERY,
            false => AT_REST,
        };
        let mut differs = false;
        match lists.recv_timeout(wait) {
            Ok(list) => (links, differs) = (list.into_iter().map(Watched::new).collect(), true),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let is_glance = !is_busy && !differs && glances < GLANCES;
        if is_glance && links.iter_mut().all(|link| link.glance(&socket)) {
            glances += 1;
            continue;
        }
        glances = 0;
        let mut finds = Vec::new();
        let names: Vec<IfName> = links.iter().map(|link| link.name).collect();
        let (seen, now) = (socket.link_states(&names), clock::now());
        for (link, seen) in links.iter_mut().zip(seen) {
            let (is_new, found) = link.look(now, seen);
            differs |= is_new;
            finds.extend(found);
        }
        finds.extend(differs.then_some(Find::Difference));
        if !finds.is_empty() {
            // Where nobody listens any more, no list will come, either.
            let _ = finds.into_iter().try_for_each(|find| tell.send(find));
            let _ = rustix::io::write(wake, &1u64.to_ne_bytes());
        }
    }
}

/// From one look to the next, while a link is busy.
const EVERY: Duration = Duration::from_millis(20);
/// The same while none is: who carries nothing loses nothing in that time.
const AT_REST: Duration = Duration::from_millis(40);
/// Glances between two looks while no link is busy: what becomes busy is seen within 200 ms.
const GLANCES: u32 = 4;
/// A driver that takes longer asks its hardware.
const QUICK: Duration = Duration::from_micros(200);
/// It is left alone for so many times as long.
const SPARED: u32 = 1000;
/// What takes longer was a sleep of the machine.
const LONGEST: Duration = Duration::from_secs(10);
const SLACK_NANOS: u64 = 3_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_new_netns, ip};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::cell::Cell;
    use std::net::UdpSocket;

    fn differs(watch: &CarrierWatch, millis: i64) -> bool {
        let wait = Timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 };
        poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&wait)).unwrap();
        watch.take().any(|find| find == Find::Difference)
    }

    /// Given a link that is watched, when its other end goes down or it vanishes, then that is seen
    /// without any notification; when nothing happens, nothing is said.
    #[test]
    fn a_difference_is_seen() {
        in_new_netns(|| {
            ip("link add wan1 type veth peer name far1");
            ip("link set wan1 up");
            ip("link set far1 up");
            let mut watch = CarrierWatch::start().unwrap();
            assert!(!differs(&watch, 60));
            watch.watch(&["wan1".parse().unwrap(), "absent".parse().unwrap()]);
            assert!(differs(&watch, 900));
            assert!(!differs(&watch, 100));
            ip("link set far1 down");
            assert!(differs(&watch, 900));
            ip("link delete wan1");
            assert!(differs(&watch, 900));
            assert!(!differs(&watch, 100));
        });
    }

    /// Given a driver that asks its hardware, which takes 2 ms or does not answer for 5 s, then it is asked
    /// once in 1000 times as long, and its link is looked at instead; a quick one is glanced at each time.
    #[test]
    fn slow_hardware_is_left_alone() {
        let now = Cell::new(Instant::from_nanos(1));
        let glances = |takes: Duration, lasts: Duration| {
            let mut link = Watched::new("wan1".parse().unwrap());
            let (asked, end) = (Cell::new(0), now.get() + lasts);
            let mut trusted = 0;
            while now.get() < end {
                let ask = |_| {
                    asked.set(asked.get() + 1);
                    now.set(now.get() + takes);
                    Some(true)
                };
                trusted += u32::from(link.glance_by(|| now.get(), ask));
                now.set(now.get() + AT_REST);
            }
            (asked.get(), trusted)
        };
        let ms = Duration::from_millis;
        assert_eq!(glances(ms(2), ms(20_000)), (10, 0));
        assert_eq!(glances(ms(5000), ms(4_000_000)), (1, 0));
        assert_eq!(glances(QUICK, ms(4000)), (100, 99));
    }

    /// Two ends of a cable, and what each sends to somebody who is not there.
    struct Cable {
        socket: RequestSocket,
        link: Watched,
        now: Instant,
        ends: [UdpSocket; 2],
    }

    impl Cable {
        fn new() -> Self {
            // Without what IPv6 says by itself. There may be none.
            let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
            ip("link add wan1 type veth peer name far1");
            let ends = [("wan1", "192.0.2"), ("far1", "198.51.100")].map(|(name, net)| {
                ip(&format!("link set {name} up"));
                ip(&format!("address add {net}.1/24 dev {name}"));
                ip(&format!("neighbour add {net}.2 lladdr 02:00:00:00:00:99 dev {name}"));
                let end = UdpSocket::bind((format!("{net}.1"), 0)).unwrap();
                end.connect((format!("{net}.2"), 9)).unwrap();
                end
            });
            let socket = RequestSocket::open().unwrap();
            Self { socket, link: Watched::new("wan1".parse().unwrap()), now: clock::now(), ends }
        }

        /// So many looks, between which so many packets come in and go out.
        fn looks(&mut self, count: u32, received: u32, sent: u32) -> Vec<Find> {
            let looks = (0..count).filter_map(|_| {
                let [wan, far] = &self.ends;
                (0..received).for_each(|_| assert_eq!(far.send(b"in").unwrap(), 2));
                (0..sent).for_each(|_| assert_eq!(wan.send(b"out").unwrap(), 3));
                self.now = self.now + EVERY;
                let seen = self.socket.link_states(&[self.link.name]);
                self.link.look(self.now, seen[0]).1
            });
            looks.collect()
        }
    }

    /// Given a cable with traffic both ways, when packets go out and none comes in, then that is found at
    /// the third look; when only few came before, or nothing goes out, then it is not.
    #[test]
    fn traffic_without_an_answer_is_seen() {
        in_new_netns(|| {
            let mut cable = Cable::new();
            assert_eq!(cable.looks(10, 3, 3), []);
            let found = cable.looks(3, 0, 2);
            let Some(Find::Unanswered(name, found)) = found.first() else { panic!("{found:?}") };
            assert_eq!((name.as_str(), found.silence, found.received), ("wan1", EVERY * 3, 15));
            assert_eq!(cable.looks(10, 3, 3), []);
            assert_eq!(cable.looks(10, 0, 0), []);
            assert_eq!(cable.looks(1, 1, 1), []);
            assert_eq!(cable.looks(10, 0, 2), []);
        });
    }
}
